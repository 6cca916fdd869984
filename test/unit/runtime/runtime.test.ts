import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import {
  Lifecycle,
  ManualClock,
  OperatorError,
  createCallbackLogger,
  errno,
  loadNative,
  seededRandom,
  silentLogger,
  systemClock,
} from '../../../src/runtime/index.ts';
import type { Service } from '../../../src/runtime/index.ts';

describe('ManualClock', () => {
  it('fires in order of time, then of asking, and not before its time', () => {
    const clock = new ManualClock();
    const fired: string[] = [];
    clock.after(20, () => fired.push(`late@${clock.nowMs()}`));
    clock.after(10, () => fired.push(`first@${clock.nowMs()}`));
    clock.after(10, () => fired.push(`second@${clock.nowMs()}`));
    clock.advance(9.9);
    expect(fired).toEqual([]);
    clock.advance(30);
    expect(fired).toEqual(['first@10', 'second@10', 'late@20']);
  });

  it('repeats until cancelled, also from inside the callback', () => {
    const clock = new ManualClock();
    let count = 0;
    const timer = clock.every(10, () => {
      if (++count === 3) timer.cancel();
    });
    clock.advance(100);
    expect(count).toBe(3);
  });
});

describe('systemClock', () => {
  it('wakes a sleeper at once when its signal aborts', async () => {
    const controller = new AbortController();
    const sleep = systemClock.sleep(60_000, controller.signal);
    controller.abort();
    await sleep;
  });

  it('never calls back early', async () => {
    const startedMs = systemClock.nowMs();
    await systemClock.sleep(5.5);
    expect(systemClock.nowMs() - startedMs).toBeGreaterThanOrEqual(5);
  });
});

describe('seededRandom', () => {
  it('repeats itself for the same seed only', () => {
    const draw = (seed: number): number[] => {
      const random = seededRandom(seed);
      return Array.from({ length: 5 }, () => random.next());
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    expect(draw(3).every((value) => value >= 0 && value < 1)).toBe(true);
  });
});

describe('Lifecycle', () => {
  function recording(trace: string[], name: string, fails = false): Service {
    return {
      name,
      start: () => (fails ? Promise.reject(new Error(name)) : Promise.resolve(void trace.push(`+${name}`))),
      stop: () => Promise.resolve(void trace.push(`-${name}`)),
    };
  }

  it('starts in order and stops in reverse', async () => {
    const trace: string[] = [];
    const lifecycle = new Lifecycle({ logger: silentLogger });
    await lifecycle.start([recording(trace, 'a'), recording(trace, 'b')]);
    await lifecycle.stop();
    expect(trace).toEqual(['+a', '+b', '-b', '-a']);
  });

  it('stops what had started when a later one fails, and says why', async () => {
    const trace: string[] = [];
    const lifecycle = new Lifecycle({ logger: silentLogger });
    const services = [recording(trace, 'a'), recording(trace, 'b', true), recording(trace, 'c')];
    await expect(lifecycle.start(services)).rejects.toThrow('b');
    expect(trace).toEqual(['+a', '-a']);
  });
});

describe('loggers', () => {
  it('hand bound fields down to children', () => {
    const lines: unknown[] = [];
    const logger = createCallbackLogger((level, fields, message) => lines.push([level, fields, message]), {
      node: 'a',
    });
    logger.child({ router: 'web' }).warn({ count: 1 }, 'hello');
    expect(lines).toEqual([['warn', { node: 'a', router: 'web', count: 1 }, 'hello']]);
  });
});

describe('OperatorError', () => {
  it('is one line: what and the mend', () => {
    expect(new OperatorError('X', 'port 80 is in use', 'stop the other program').line).toBe(
      'port 80 is in use; stop the other program',
    );
  });
});

describe('the native addon', () => {
  const native = loadNative();
  const name = new Uint8Array(20);

  it('connects, accepts and carries bytes, with end and reset told apart', async () => {
    const listener = native.tcpListen('127.0.0.1', 0, 16);
    native.localName(listener, name);
    const port = ((name[2] ?? 0) << 8) | (name[3] ?? 0);
    const client = native.tcpConnect('127.0.0.1', port, '127.0.0.9', 0);
    await systemClock.sleep(1);
    const server = native.accept(listener, name);
    expect([...name.subarray(0, 1), ...name.subarray(4, 8)]).toEqual([4, 127, 0, 0, 9]);
    expect(native.receive(server, name, 0, 20)).toBe(errno.again);
    expect(native.send(client, Uint8Array.of(1, 2, 3), 1, 2)).toBe(2);
    expect(native.receive(server, name, 0, 20)).toBe(2);
    expect([...name.subarray(0, 2)]).toEqual([2, 3]);
    native.shutdownWrite(client);
    await systemClock.sleep(1);
    expect(native.receive(server, name, 0, 20)).toBe(0);
    for (const fd of [client, server, listener]) expect(native.close(fd)).toBe(0);
  });

  it('listens on an address that this host does not have', () => {
    const listener = native.tcpListen('192.0.2.1', 0, 16);
    expect(listener).toBeGreaterThan(0);
    native.close(listener);
  });

  it('answers what the kernel refuses as a negative errno, and never writes past a buffer', () => {
    expect(native.close(99_999)).toBe(-9);
    expect(native.tcpListen('no address', 80, 1)).toBe(-22);
    expect(native.receive(0, name, 10, 11)).toBe(-22);
  });

  it('locks memory without keeping V8 from giving back its own', () => {
    const addon = new URL('../../../native/build/tandem.node', import.meta.url).pathname;
    const program = `
      const locked = require(process.argv[1]).lockMemory();
      for (let round = 0; round < 3; round++) { Array.from({ length: 1e6 }, (_, i) => ({ i })); gc(); }
      console.log(locked <= 0);`;
    const { status, stdout, signal } = spawnSync(process.execPath, ['--expose-gc', '-e', program, addon]);
    expect({ status, signal, stdout: stdout.toString() }).toEqual({ status: 0, signal: null, stdout: 'true\n' });
  });

  it('tells of each ready descriptor by its id', async () => {
    const ready = new Int32Array(16);
    const seen: number[] = [];
    const poller = native.pollerOpen(ready, (count) => {
      for (let i = 0; i < count; i++) seen.push(ready[2 * i] ?? 0);
    });
    if (typeof poller === 'number') throw new Error(`pollerOpen: ${poller}`);
    const listener = native.tcpListen('127.0.0.1', 0, 16);
    native.localName(listener, name);
    native.pollerAdd(poller, listener, 1, 4711);
    const client = native.tcpConnect('127.0.0.1', ((name[2] ?? 0) << 8) | (name[3] ?? 0), undefined, 0);
    await systemClock.sleep(5);
    expect(seen).toContain(4711);
    native.pollerRemove(poller, listener);
    native.pollerClose(poller);
    for (const fd of [client, listener]) native.close(fd);
  });
});
