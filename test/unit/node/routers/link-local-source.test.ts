import { describe, expect, it } from 'vitest';
import { LinkLocalSource } from '../../../../src/node/routers/link-local-source.ts';
import { ManualClock } from '../../../../src/runtime/index.ts';

const own = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

describe('the link-local source', () => {
  it('is told at once when it is there', () => {
    const { source, trace } = setup(own);
    source.look();
    expect(trace).toEqual(['ready ::1']);
  });

  it('is said to be missing once, waited for, and told when it has appeared', () => {
    const { clock, source, trace, found } = setup(undefined);
    source.look();
    clock.advance(1_000);
    expect(trace).toEqual(['missing']);
    found(own);
    clock.advance(100);
    expect(trace).toEqual(['missing', 'ready ::1']);
    clock.advance(1_000);
    expect(trace).toHaveLength(2);
  });

  it('is looked for anew when the link comes up again', () => {
    const { source, trace, found } = setup(own);
    source.look();
    found(undefined);
    source.look();
    expect(trace).toEqual(['ready ::1', 'missing']);
  });

  it('is waited for once, however often the link comes up meanwhile', () => {
    const { clock, source, trace, found } = setup(undefined);
    source.look();
    source.look();
    found(own);
    clock.advance(100);
    expect(trace).toEqual(['missing', 'ready ::1']);
  });

  it('is not waited for any more after the end', () => {
    const { clock, source, trace, found } = setup(undefined);
    source.look();
    source.stop();
    found(own);
    clock.advance(1_000);
    expect(trace).toEqual(['missing']);
  });
});

function setup(first: Uint8Array | undefined) {
  const clock = new ManualClock();
  const trace: string[] = [];
  let present = first;
  const source = new LinkLocalSource({
    clock,
    find: () => present,
    onReady: (address) => trace.push(`ready ::${address.at(-1) ?? ''}`),
    onMissing: () => trace.push('missing'),
  });
  return { clock, source, trace, found: (address: Uint8Array | undefined) => (present = address) };
}
