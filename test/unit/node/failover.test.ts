import { describe, expect, it } from 'vitest';
import { EventLog } from '../../../src/node/events.ts';
import { Failover } from '../../../src/node/failover.ts';
import type { FailoverRequest } from '../../../src/node/admin-api.ts';
import { OperatorError } from '../../../src/runtime/index.ts';
import { pair, parsed } from '../config/fixtures.ts';

const request = { to: undefined, force: false, timeoutMs: 1_000 };

describe('a failover', () => {
  it('is told as an event, with the time without service', async () => {
    const node = setup();
    const report = await node.failover.move(request);
    expect(report).toMatchObject({ from: 'lb1', to: 'lb2' });
    expect(node.messages()).toEqual(['lb1 handed over to lb2, 1.5 ms without service']);
  });

  it('moves all where nothing is named', async () => {
    const node = setup();
    await node.failover.move(request);
    expect(node.runs).toEqual([{ ...request, routers: undefined }]);
  });

  it('moves a virtual router with its group', async () => {
    const node = setup();
    await node.failover.move({ ...request, routers: ['web'] });
    expect(node.runs).toEqual([{ ...request, routers: ['web', 'second'] }]);
  });

  it('knows no virtual router that is not configured, and says which are', async () => {
    const node = setup();
    await expect(node.failover.move({ ...request, routers: ['web', 'nobody'] })).rejects.toMatchObject({
      code: 'NO_SUCH_ROUTER',
      message: 'there is no virtual router nobody',
      mend: 'there are: web, second',
    });
    expect(node.runs).toEqual([]);
  });

  it('that was refused is an event where an operator has asked for it, and only there', async () => {
    const node = setup(new OperatorError('BUSY', 'a switchover is under way', 'wait for its end'));
    await expect(node.failover.move(request)).rejects.toMatchObject({ code: 'BUSY' });
    expect(node.messages()).toEqual([]);
    await expect(node.failover.ask(request)).rejects.toMatchObject({ code: 'BUSY' });
    expect(node.messages()).toEqual(['refused: a switchover is under way; wait for its end']);
  });
});

function setup(refusal?: OperatorError) {
  const runs: FailoverRequest[] = [];
  const events = new EventLog(() => 0);
  const [router] = parsed(pair).virtualRouters;
  if (router === undefined) throw new Error('the pair has a virtual router');
  const config = {
    ...parsed(pair),
    virtualRouters: [router, { ...router, name: 'second' }],
    syncGroups: [{ name: 'both', virtualRouters: [router.name, 'second'] }],
  };
  const failover = new Failover({
    events,
    config: () => config,
    switchover: {
      run: (wanted) => {
        runs.push(wanted);
        if (refusal !== undefined) return Promise.reject(refusal);
        const virtualRouters = wanted.routers ?? [];
        const measured = { durationMs: 3, gapMs: 1.5, connectionsMoved: 0, connectionsReset: 0 };
        return Promise.resolve({ from: 'lb1', to: 'lb2', virtualRouters, ...measured });
      },
    },
  });
  return { failover, runs, messages: () => events.after(0).map(({ message }) => message) };
}
