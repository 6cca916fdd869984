import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { callNode } from '../../../src/cli/client.ts';

describe('callNode', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tandem-client-'));
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  const call = (node?: string) =>
    callNode({ socketDirectory: directory, node }, { method: 'POST', path: '/x', body: { a: 1 }, timeoutMs: 500 });

  /** A node of that name which answers so. */
  async function listen(name: string, answer: RequestListener): Promise<void> {
    const server = createServer(answer);
    await new Promise<void>((resolve) => server.listen(join(directory, `${name}.sock`), resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
  }

  it('finds the only node, sends the body and answers what it says', async () => {
    await listen('lb1', (request, response) => {
      request
        .setEncoding('utf8')
        .on('data', (body: string) => response.end(`{"method":"${request.method}","got":${body}}`));
    });
    expect(await call()).toEqual({ method: 'POST', got: { a: 1 } });
  });

  it("passes the node's refusal on, with its mend", async () => {
    await listen('lb1', (_request, response) => response.writeHead(409).end('{"error":"it is busy","mend":"wait"}'));
    await expect(call()).rejects.toMatchObject({ code: 'REFUSED', line: 'it is busy; wait' });
  });

  it('says so when no node runs, when the one asked for does not, and when several do', async () => {
    await expect(call()).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    await expect(call('lb1')).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    await listen('lb1', (_request, response) => response.end('1'));
    await listen('lb2', (_request, response) => response.end('2'));
    await expect(call()).rejects.toMatchObject({
      code: 'SEVERAL_NODES',
      message: expect.stringContaining('lb1, lb2') as string,
    });
    expect(await call('lb2')).toBe(2);
  });

  it('gives up on a node that does not answer', async () => {
    await listen('lb1', () => undefined);
    await expect(call()).rejects.toMatchObject({ code: 'NO_ANSWER' });
  });

  it('is an error of the operator when what answers is not a node', async () => {
    await listen('lb1', (_request, response) => response.end('<html>'));
    await expect(call()).rejects.toMatchObject({ name: 'OperatorError' });
  });

  it('is an error of the operator when the node ends in the middle of its answer', async () => {
    await listen('lb1', (_request, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('{"half":');
      setImmediate(() => response.destroy());
    });
    await expect(call()).rejects.toMatchObject({ name: 'OperatorError' });
  });
});
