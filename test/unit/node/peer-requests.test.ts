import { describe, expect, it } from 'vitest';
import { answerPeer } from '../../../src/node/peer-requests.ts';
import type { Plain } from '../../../src/sync/index.ts';

describe('a request of the peer', () => {
  it('to take over is done by the switchover', async () => {
    const node = setup();
    expect(await node.ask('take-over', { routers: ['web'], timeoutMs: 500 })).toEqual({});
    expect(node.trace).toEqual([['take-over', ['web'], 500]]);
  });

  it('to hand over is answered with a report that the wire can carry', async () => {
    const node = setup();
    const request = { to: 'lb2', force: true, timeoutMs: 500 };
    expect(Object.keys((await node.ask('failover', request)) as object)).not.toContain('gapMs');
    expect(node.trace).toEqual([['failover', request]]);
  });

  it("to end a server's connections is done by the services", async () => {
    const node = setup();
    expect(await node.ask('close-server-connections', { service: 'web', server: 's1' })).toEqual({});
    expect(node.trace).toEqual([['close', 'web', 's1']]);
  });

  it('of a newer version is refused by its name', async () => {
    await expect(setup().ask('dance', {})).rejects.toMatchObject({
      code: 'UNKNOWN_REQUEST',
      message: 'it does not know the request dance',
    });
  });

  it.each<[string, Plain, string]>([
    ['take-over', { routers: 'web', timeoutMs: 500 }, 'routers'],
    ['take-over', { routers: [7], timeoutMs: 500 }, 'routers'],
    ['take-over', { routers: ['web'], timeoutMs: 0 }, 'timeoutMs'],
    ['take-over', { routers: ['web'], timeoutMs: 600_001 }, 'timeoutMs'],
    ['failover', { to: 7, force: true, timeoutMs: 500 }, 'to'],
    ['failover', { force: 'yes', timeoutMs: 500 }, 'force'],
    ['close-server-connections', { service: 'web' }, 'server'],
    ['close-server-connections', 'web', 'parameters'],
  ])('%s with %j does nothing: its %s cannot be read', async (method, parameters, field) => {
    const node = setup();
    await expect(node.ask(method, parameters)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: `the request's ${field} cannot be read`,
    });
    expect(node.trace).toEqual([]);
  });
});

function setup() {
  const trace: unknown[][] = [];
  const report = { from: 'lb1', to: 'lb2', virtualRouters: ['web'], durationMs: 3, gapMs: undefined };
  const servants = {
    switchover: {
      takeOver: (routers: readonly string[], timeoutMs: number) => {
        trace.push(['take-over', routers, timeoutMs]);
        return Promise.resolve();
      },
    },
    failover: {
      ask: (request: unknown) => {
        trace.push(['failover', request]);
        return Promise.resolve({ ...report, connectionsMoved: 0, connectionsReset: 0 });
      },
    },
    services: {
      closeServerConnections: (service: string, server: string) => {
        trace.push(['close', service, server]);
      },
    },
  };
  return { trace, ask: (method: string, parameters: Plain) => answerPeer(method, parameters, servants) };
}
