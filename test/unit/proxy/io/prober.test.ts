import { describe, expect, it, onTestFinished } from 'vitest';
import { Prober } from '../../../../src/proxy/io/index.ts';
import type { CheckReport, CheckTarget } from '../../../../src/proxy/io/index.ts';
import type { WorkerServer } from '../../../../src/proxy/index.ts';
import { silentLogger } from '../../../../src/runtime/index.ts';
import {
  SocketTestClock,
  deadServer,
  native,
  startNamedServer,
  startServer,
  startSilentServer,
  turn,
  until,
} from './harness.ts';

const check = { interMs: 2000, fastinterMs: 2000, downinterMs: 2000, timeoutMs: 1000, rise: 2, fall: 3, jitter: 0 };

describe('prober', () => {
  it('checks a new server at once, and again after each interval', async () => {
    const test = await startProber(await startNamedServer('s1'));
    await until(() => test.reports.length === 1);
    expect(test.reports[0]).toMatchObject({
      service: 'web',
      server: 's1',
      result: { passed: true },
      health: 'up',
      changed: false,
    });
    test.clock.advance(1999);
    for (let i = 0; i < 20; i++) await turn();
    expect(test.reports.length).toBe(1);
    test.clock.advance(1);
    await until(() => test.reports.length === 2);
  });

  it('finds a server down that refuses, and says why', async () => {
    const test = await startProber(deadServer('s1'));
    await until(() => test.reports.length === 1);
    expect(test.reports[0]).toMatchObject({
      result: { passed: false, reason: 'ECONNREFUSED' },
      health: 'down',
      changed: true,
    });
  });

  it('gives up on a server that does not answer', async () => {
    const test = await startProber(await startSilentServer('s1'));
    for (let i = 0; i < 20; i++) await turn();
    expect(test.reports).toEqual([]);
    test.clock.advance(1000);
    expect(test.reports[0]?.result).toEqual({ passed: false, durationMs: 1000, reason: 'timeout' });
  });

  it('leaves from the given address, and names the error when it cannot', async () => {
    const remote: (string | undefined)[] = [];
    const server = await startServer('s1', (socket) => remote.push(socket.remoteAddress));
    const test = await startProber(server, { source: '127.9.9.9' });
    await until(() => remote.length === 1);
    expect(remote).toEqual(['127.9.9.9']);
    const other = await startProber(server, { source: '192.0.2.1' });
    expect(other.reports[0]?.result).toMatchObject({ passed: false, reason: 'EADDRNOTAVAIL' });
    expect(test.reports).not.toBe(other.reports);
  });

  it('goes on with targets that stay, and is silent about those gone, even in the middle of a check', async () => {
    const [kept, gone] = [await startNamedServer('kept'), await startNamedServer('gone')];
    const test = await startProber(kept);
    await until(() => test.reports.length === 1);
    test.prober.configure([target(kept), target(gone)]);
    test.prober.configure([target(kept)]);
    for (let i = 0; i < 50; i++) await turn();
    expect(test.reports.map((report) => report.server)).toEqual(['kept']);
    test.clock.advance(2000);
    await until(() => test.reports.length === 2);
    expect(test.reports[1]?.server).toBe('kept');
  });

  it('keeps what it knows of a server when only the settings change, and not when its address does', async () => {
    const [server, dead] = [await startNamedServer('s1'), deadServer('s1')];
    const test = await startProber(dead);
    await until(() => test.reports.length === 1);
    expect(test.reports[0]?.health).toBe('down');
    const revived = await startServer('s1', () => undefined, dead.port);
    test.prober.configure([{ ...target(revived), check: { ...check, interMs: 100, downinterMs: 100 } }]);
    await until(() => test.reports.length === 2);
    // It has to pass twice as before.
    expect(test.reports[1]).toMatchObject({ result: { passed: true }, health: 'down', changed: false });
    test.prober.configure([target(server)]);
    await until(() => test.reports.length === 3);
    expect(test.reports[2]).toMatchObject({ health: 'up' });
  });

  it('checks a server anew whose settings have changed', async () => {
    const server = await startNamedServer('s1');
    const test = await startProber(server);
    await until(() => test.reports.length === 1);
    test.prober.configure([{ ...target(server), check: { ...check, interMs: 100 } }]);
    await until(() => test.reports.length === 2);
  });
});

async function startProber(
  server: WorkerServer,
  given: Partial<CheckTarget> = {},
): Promise<{ prober: Prober; clock: SocketTestClock; reports: CheckReport[] }> {
  const clock = new SocketTestClock();
  const reports: CheckReport[] = [];
  const prober = new Prober({
    native,
    clock,
    random: { next: () => 0.5 },
    logger: silentLogger,
    report: (report) => reports.push(report),
  });
  await prober.start();
  onTestFinished(() => prober.stop());
  prober.configure([{ ...target(server), ...given }]);
  return { prober, clock, reports };
}

function target({ name, address, port }: WorkerServer): CheckTarget {
  return { service: 'web', server: name, address, port, source: undefined, probe: { kind: 'tcp' }, check };
}
