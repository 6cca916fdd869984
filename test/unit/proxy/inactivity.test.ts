import { describe, expect, it } from 'vitest';
import { timedOutSide } from '../../../src/proxy/index.ts';
import type { ConnectionSide, InactivityLimits } from '../../../src/proxy/index.ts';

const limits: InactivityLimits = {
  clientMs: 100,
  serverMs: 200,
  tunnelMs: undefined,
  clientFinMs: undefined,
  serverFinMs: undefined,
};

/** What each side is, the limits, and after which silence whose time is over. */
const cases: readonly {
  readonly when: string;
  readonly client?: Partial<ConnectionSide>;
  readonly server?: Partial<ConnectionSide>;
  readonly limits?: Partial<InactivityLimits>;
  readonly over: readonly [side: 'client' | 'server', afterMs: number] | 'never';
}[] = [
  { when: 'either side may send', over: ['client', 100] },
  { when: 'either side may send, the server within less', limits: { serverMs: 50 }, over: ['server', 50] },
  { when: 'either side may send, both within the same', limits: { serverMs: 100 }, over: ['client', 100] },
  { when: 'the client has no limit', limits: { clientMs: 0 }, over: ['server', 200] },
  { when: 'nobody has a limit', limits: { clientMs: 0, serverMs: 0 }, over: 'never' },
  { when: 'the server has not taken all', server: { unsent: new Uint8Array(1) }, over: ['server', 200] },
  { when: 'the client has not taken all', client: { unsent: new Uint8Array(1) }, over: ['client', 100] },
  { when: 'neither has taken all', ...bothSides({ unsent: new Uint8Array(1) }), over: ['client', 100] },
  { when: 'the client has ended its direction', client: { readEnded: true }, over: ['server', 200] },
  { when: 'the server has ended its direction', server: { readEnded: true }, over: ['client', 100] },
  {
    when: 'the client has ended its direction and still takes bytes',
    client: { readEnded: true, unsent: new Uint8Array(1) },
    over: ['client', 100],
  },
  { when: 'both have sent, with a tunnel', ...talking(), limits: { tunnelMs: 900 }, over: ['client', 900] },
  { when: 'both have sent, with an endless tunnel', ...talking(), limits: { tunnelMs: 0 }, over: 'never' },
  { when: 'both have sent, without a tunnel', ...talking(), over: ['client', 100] },
  {
    when: 'only the client has sent, with a tunnel',
    client: { receivedBytes: 1 },
    limits: { tunnelMs: 900 },
    over: ['client', 100],
  },
  {
    when: 'the server has ended, with clientFin',
    ...talking({ server: { readEnded: true } }),
    limits: { tunnelMs: 900, clientFinMs: 30, serverFinMs: 10 },
    over: ['client', 30],
  },
  {
    when: 'the client has ended, with serverFin',
    ...talking({ client: { readEnded: true } }),
    limits: { tunnelMs: 900, clientFinMs: 10, serverFinMs: 40 },
    over: ['server', 40],
  },
  {
    when: 'the client has ended, with a tunnel and no serverFin',
    ...talking({ client: { readEnded: true } }),
    limits: { tunnelMs: 900 },
    over: ['server', 900],
  },
  {
    when: 'the client has ended, with an endless serverFin',
    client: { readEnded: true },
    limits: { serverFinMs: 0 },
    over: 'never',
  },
];

describe('a silent connection', () => {
  it.each(cases)('where $when: $over', ({ client, server, limits: other, over }) => {
    const after = (silentMs: number) => timedOutSide({ ...limits, ...other }, side(client), side(server), silentMs);
    if (over === 'never') {
      expect(after(Number.MAX_SAFE_INTEGER)).toBeUndefined();
      return;
    }
    const [who, afterMs] = over;
    expect(after(afterMs - 1)).toBeUndefined();
    expect(after(afterMs)).toBe(who);
  });
});

function side(given: Partial<ConnectionSide> = {}): ConnectionSide {
  return { readEnded: false, unsent: undefined, receivedBytes: 0, ...given };
}

function bothSides(given: Partial<ConnectionSide>) {
  return { client: given, server: given };
}

function talking(given: { client?: Partial<ConnectionSide>; server?: Partial<ConnectionSide> } = {}) {
  return { client: { receivedBytes: 1, ...given.client }, server: { receivedBytes: 1, ...given.server } };
}
