import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatIp, formatPrefix, parseIp, prefixContains } from '../../../../src/base/index.ts';
import { Admission, PrefixSet, SourceLimits } from '../../../../src/proxy/admission/index.ts';

function ip(text: string): Uint8Array {
  const bytes = parseIp(text);
  if (bytes === undefined) throw new Error(text);
  return bytes;
}

describe('a set of prefixes', () => {
  it('has what lies in one of them, in its family', () => {
    const set = new PrefixSet(['10.0.0.0/8', '10.1.2.0/24', '192.0.2.77/25', '2001:db8::/32', '198.51.100.1/32']);
    const inside = ['10.0.0.0', '10.255.255.255', '10.1.2.3', '192.0.2.0', '192.0.2.127', '2001:db8:ffff::1'];
    const outside = ['9.255.255.255', '11.0.0.0', '192.0.2.128', '2001:db9::', '198.51.100.2', '::a00:1'];
    expect(inside.filter((address) => !set.has(ip(address)))).toEqual([]);
    expect(outside.filter((address) => set.has(ip(address)))).toEqual([]);
    expect(set.has(ip('198.51.100.1'))).toBe(true);
  });

  it('with /0 has the whole family, and an empty one nothing', () => {
    expect(new PrefixSet(['0.0.0.0/0']).has(ip('255.255.255.255'))).toBe(true);
    expect(new PrefixSet(['0.0.0.0/0']).has(ip('::1'))).toBe(false);
    expect(new PrefixSet([]).has(ip('0.0.0.0'))).toBe(false);
  });

  it('has exactly what looking at each prefix finds', () => {
    // Few bits, so that prefixes meet each other and the addresses.
    const address = fc
      .tuple(fc.constantFrom(4, 16), fc.array(fc.constantFrom(0, 1, 0x80, 0xff), { minLength: 16, maxLength: 16 }))
      .map(([length, bytes]) => formatIp(Uint8Array.from(bytes.slice(0, length))));
    const prefix = fc.tuple(address, fc.nat(128)).map(([text, length]) => ({
      address: text,
      prefixLength: Math.min(length, text.includes(':') ? 128 : 32),
    }));
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 40 }), address, (prefixes, candidate) => {
        const set = new PrefixSet(prefixes.map(formatPrefix));
        expect(set.has(ip(candidate))).toBe(prefixes.some((one) => prefixContains(one, candidate)));
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('admission', () => {
  const open = { deny: [], allow: undefined, perSource: undefined };

  it('denies who is denied, also if allowed, and with a list of those allowed everybody else', () => {
    const admission = new Admission({ ...open, deny: ['10.0.0.0/24'], allow: ['10.0.0.0/8'] });
    expect(admission.denies(ip('10.0.1.1'))).toBe(false);
    expect(admission.denies(ip('10.0.0.1'))).toBe(true);
    expect(admission.denies(ip('11.0.0.1'))).toBe(true);
    expect(admission.denies(ip('2001:db8::1'))).toBe(true);
  });

  it('without a list of those allowed takes everybody who is not denied', () => {
    const admission = new Admission({ ...open, deny: ['10.0.0.0/24'] });
    expect(admission.denies(ip('2001:db8::1'))).toBe(false);
    expect(admission.admit(ip('2001:db8::1'), 0)).toEqual({ ok: true, source: undefined });
  });

  it('goes on with its counts when its limits change', () => {
    const perSource = { connectionsMax: 2, rate: undefined, ipv6PrefixLength: 64 };
    const before = new Admission({ ...open, perSource });
    before.admit(ip('10.0.0.1'), 0);
    const after = new Admission({ ...open, perSource: { ...perSource, connectionsMax: 1 } }, before);
    expect(after.admit(ip('10.0.0.1'), 0)).toEqual({ ok: false, reason: 'source-connections' });
    after.release('10.0.0.1', 0);
    expect(after.admit(ip('10.0.0.1'), 0)).toMatchObject({ ok: true });
  });
});

describe('connections at once', () => {
  const spec = { connectionsMax: 2, rate: undefined, ipv6PrefixLength: 64 };

  it('are limited for each source, and one that ends makes room', () => {
    const limits = new SourceLimits(spec, 10);
    expect([1, 2, 3].map(() => limits.admit('a', 0))).toEqual([undefined, undefined, 'source-connections']);
    expect(limits.admit('b', 0)).toBeUndefined();
    limits.release('a', 0);
    expect(limits.admit('a', 0)).toBeUndefined();
    expect(limits.admit('a', 0)).toBe('source-connections');
  });

  it('leave nothing behind when they have ended', () => {
    const limits = new SourceLimits(spec, 10);
    for (const source of ['a', 'b', 'a']) limits.admit(source, 0);
    for (const source of ['a', 'b', 'a']) limits.release(source, 0);
    expect(limits.size).toBe(0);
  });

  it('of all addresses of an IPv6 network are those of one source', () => {
    const sourceOf = (bits: number, text: string): string =>
      new SourceLimits({ ...spec, ipv6PrefixLength: bits }, 1).sourceOf(ip(text));
    expect(sourceOf(64, '2001:db8::1')).toBe(sourceOf(64, '2001:db8::ffff:0:0:2'));
    expect(sourceOf(64, '2001:db8::1')).not.toBe(sourceOf(64, '2001:db8:0:1::1'));
    expect(sourceOf(60, '2001:db8:0:10::1')).toBe(sourceOf(60, '2001:db8:0:1f::1'));
    expect(sourceOf(60, '2001:db8:0:10::1')).not.toBe(sourceOf(60, '2001:db8:0:20::1'));
    expect(sourceOf(128, '2001:db8::1')).not.toBe(sourceOf(128, '2001:db8::2'));
    expect(sourceOf(64, '10.0.0.1')).not.toBe(sourceOf(64, '10.0.0.2'));
  });
});

describe('new connections in a period', () => {
  const spec = { connectionsMax: undefined, rate: { connections: 5, periodMs: 1_000 }, ipv6PrefixLength: 64 };
  const burst = (limits: SourceLimits, source: string, nowMs: number): number => {
    let admitted = 0;
    while (limits.admit(source, nowMs) === undefined) admitted++;
    return admitted;
  };

  it('are as many as the period has at once, and then one for each part of the period', () => {
    const limits = new SourceLimits(spec, 10);
    expect(burst(limits, 'a', 0)).toBe(5);
    expect(limits.admit('a', 0)).toBe('source-rate');
    expect([burst(limits, 'a', 199), burst(limits, 'a', 200), burst(limits, 'a', 600)]).toEqual([0, 1, 2]);
    expect(burst(limits, 'a', 60_000)).toBe(5);
  });

  it('are counted on when the connections have ended, until nothing is left to know', () => {
    const limits = new SourceLimits(spec, 10);
    expect(burst(limits, 'a', 0)).toBe(5);
    for (let i = 0; i < 5; i++) limits.release('a', 0);
    expect(limits.admit('a', 100)).toBe('source-rate');
    limits.admit('b', 1_100);
    limits.release('b', 1_100);
    expect(limits.size).toBe(1);
  });

  it('are forgotten of the source idle for longest, never of one that has a connection', () => {
    const limits = new SourceLimits(spec, 2);
    limits.admit('open', 0);
    for (const source of ['a', 'b', 'c']) {
      burst(limits, source, 0);
      for (let i = 0; i < 5; i++) limits.release(source, 0);
    }
    expect(limits.size).toBe(3);
    expect([limits.admit('a', 0), limits.admit('b', 0)]).toEqual([undefined, 'source-rate']);
    expect(burst(limits, 'open', 0)).toBe(4);
  });

  it('are over no stretch of time more than the rate and one period’s worth', () => {
    const steps = fc.array(fc.tuple(fc.nat(400), fc.constantFrom('a', 'b'), fc.boolean()), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (all) => {
        const limits = new SourceLimits(spec, 100);
        const admittedAtMs: Record<string, number[]> = { a: [], b: [] };
        let nowMs = 0;
        for (const [waitMs, source, ends] of all) {
          nowMs += waitMs;
          if (limits.admit(source, nowMs) !== undefined) continue;
          admittedAtMs[source]?.push(nowMs);
          if (ends) limits.release(source, nowMs);
        }
        for (const times of Object.values(admittedAtMs)) {
          for (const [from, startMs] of times.entries()) {
            for (const [index, endMs] of times.slice(from).entries()) {
              expect(index + 1).toBeLessThanOrEqual(5 + ((endMs - startMs) * 5) / 1_000 + 1e-6);
            }
          }
        }
      }),
    );
  });
});
