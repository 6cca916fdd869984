/** The CLI's side of the admin socket. */
import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { OperatorError } from '../runtime/index.ts';

export type ClientOptions = {
  /** The directory of the admin sockets. */
  readonly socketDirectory: string;
  /** The node to talk to; undefined: the only one that runs here. */
  readonly node: string | undefined;
};

export type Call = {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  /** In place of a body: lines of JSON. */
  readonly stream?: Readable;
  readonly timeoutMs?: number;
};

/** Talks to one node. Throws OperatorError: no node runs, several do, or the node's refusal with its mend. */
export async function callNode<Answer>(options: ClientOptions, call: Call): Promise<Answer> {
  const socketPath = await findSocket(options);
  const response = await send(socketPath, call);
  const { statusCode = 500 } = response;
  const answer = parse(socketPath, await textOf(socketPath, response));
  if (statusCode < 300) return answer as Answer;
  throw refusalOf(answer, statusCode);
}

/** The same with an answer that is too long to be kept: its bytes, while they come. */
export async function streamFromNode(options: ClientOptions, call: Call): Promise<Readable> {
  const socketPath = await findSocket(options);
  const response = await send(socketPath, call);
  if (response.statusCode === 200) return response;
  throw refusalOf(parse(socketPath, await textOf(socketPath, response)), response.statusCode ?? 500);
}

function refusalOf(answer: unknown, statusCode: number): OperatorError {
  const { error = `HTTP ${statusCode}`, mend = 'see `tandem status`' } = answer as { error?: string; mend?: string };
  return new OperatorError('REFUSED', error, mend);
}

function parse(socketPath: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new OperatorError('NO_NODE', `what answers on ${socketPath} is no node`, 'name another: --socket DIR', {
      cause,
    });
  }
}

async function findSocket({ socketDirectory, node }: ClientOptions): Promise<string> {
  if (node !== undefined) return join(socketDirectory, `${node}.sock`);
  const entries = await readdir(socketDirectory).catch(() => []);
  const sockets = entries.filter((entry) => entry.endsWith('.sock'));
  const [only] = sockets;
  if (only === undefined) {
    throw new OperatorError('NOT_RUNNING', `no node runs here: ${socketDirectory} has no socket`, mendOfNoNode);
  }
  if (sockets.length > 1) {
    const names = sockets.map((entry) => entry.slice(0, -'.sock'.length)).join(', ');
    throw new OperatorError('SEVERAL_NODES', `several nodes have a socket here: ${names}`, 'choose one: --node NAME');
  }
  return join(socketDirectory, only);
}

const mendOfNoNode = 'start one: tandem run -c FILE, or name the socket directory: --socket DIR';

function send(socketPath: string, call: Call): Promise<IncomingMessage> {
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  const type = call.stream === undefined ? 'application/json' : 'application/x-ndjson';
  const headers = body === undefined && call.stream === undefined ? {} : { 'content-type': type };
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path: call.path, method: call.method, headers }, resolve);
    outgoing.setTimeout(call.timeoutMs ?? 5_000, () => outgoing.destroy(new Error('ETIMEDOUT')));
    outgoing.once('error', (cause) => reject(explain(socketPath, cause)));
    if (call.stream === undefined) outgoing.end(body);
    else call.stream.once('error', (cause) => outgoing.destroy(cause)).pipe(outgoing);
  });
}

function textOf(socketPath: string, response: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => (text += chunk));
    response.once('end', () => resolve(text));
    response.once('error', (cause) => reject(explain(socketPath, cause)));
  });
}

function explain(socketPath: string, cause: Error): OperatorError {
  const code = (cause as NodeJS.ErrnoException).code ?? cause.message;
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new OperatorError('NOT_RUNNING', `no node answers on ${socketPath}`, mendOfNoNode, { cause });
  }
  if (code === 'EACCES') {
    return new OperatorError('NO_ACCESS', `${socketPath} is not yours to use`, 'become the user that runs the node', {
      cause,
    });
  }
  return new OperatorError('NO_ANSWER', `${socketPath}: ${code}`, 'look at the node: its log says more', { cause });
}
