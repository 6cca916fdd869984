import { describe, expect, it } from 'vitest';
import { PreemptGate } from '../../../src/node/preempt-gate.ts';
import { ManualClock } from '../../../src/runtime/index.ts';

const away = { connected: false, inSync: false };
const behind = { connected: true, inSync: false };
const equal = { connected: true, inSync: true };

describe('preempting', () => {
  it('is permitted at once on a single node', async () => {
    const { gate, clock, changes } = await started({ hasPeer: false });
    clock.advance(60_000);
    expect([gate.isPermitted, changes]).toEqual([true, []]);
  });

  it('waits for ten seconds without a peer, and no longer', async () => {
    const { gate, clock } = await started();
    gate.onPeer(away);
    clock.advance(9_999);
    expect(gate.isPermitted).toBe(false);
    clock.advance(1);
    expect(gate.isPermitted).toBe(true);
  });

  it('waits for what the peer knows, however long that takes', async () => {
    const { gate, clock, changes } = await started();
    clock.advance(9_000);
    gate.onPeer(behind);
    clock.advance(600_000);
    expect(gate.isPermitted).toBe(false);
    gate.onPeer(equal);
    expect(changes).toEqual([true]);
  });

  it('is forbidden again while the peer is ahead', async () => {
    const { gate, changes } = await started();
    gate.onPeer(equal);
    gate.onPeer(behind);
    gate.onPeer(equal);
    expect(changes).toEqual([true, false, true]);
  });

  it('stays permitted when a peer is lost that was in sync', async () => {
    const { gate, changes } = await started();
    gate.onPeer(equal);
    gate.onPeer(away);
    expect([gate.isPermitted, changes]).toEqual([true, [true]]);
  });

  it('waits anew when a peer is lost that was not', async () => {
    const { gate, clock } = await started();
    clock.advance(8_000);
    gate.onPeer(behind);
    clock.advance(8_000);
    gate.onPeer(away);
    clock.advance(8_000);
    // An attempt that fails is no news.
    gate.onPeer(away);
    clock.advance(1_999);
    expect(gate.isPermitted).toBe(false);
    clock.advance(1);
    expect(gate.isPermitted).toBe(true);
  });

  it('is not decided after the end', async () => {
    const { gate, clock, changes } = await started();
    await gate.stop();
    clock.advance(60_000);
    expect(changes).toEqual([]);
  });
});

async function started(options = { hasPeer: true }) {
  const clock = new ManualClock();
  const changes: boolean[] = [];
  const gate = new PreemptGate(options, { clock, onChange: (isPermitted) => changes.push(isPermitted) });
  await gate.start();
  return { gate, clock, changes };
}
