import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { headerLine, parseHeader, parseLine, partLine, recordLine, remainingMs } from '../../../src/state/index.ts';
import type { SnapshotHeader, SnapshotRecord } from '../../../src/state/index.ts';

const header: SnapshotHeader = { format: 'tandem-state', node: 'lb1', peer: 'lb2', contents: 'sticks', wallMs: 5 };
const record: SnapshotRecord = { table: 't', key: 'web/a', value: 's1', counter: 7, origin: 'lb1/x', lifeMs: 9 };

function lineOf(text: string): string {
  expect(text.endsWith('\n')).toBe(true);
  return text.slice(0, -1);
}

describe('the lines of a snapshot', () => {
  it('are read as they were written', () => {
    const anyRecord = fc.record({
      table: fc.string({ minLength: 1, maxLength: 50 }),
      key: fc.string({ minLength: 1, maxLength: 512, unit: 'binary' }),
      value: fc.jsonValue(),
      counter: fc.integer({ min: 1, max: 2 ** 48 }),
      origin: fc.string({ minLength: 1, maxLength: 50 }),
      lifeMs: fc.option(fc.nat(), { nil: undefined }),
    });
    fc.assert(
      fc.property(anyRecord, (written) => {
        const read = parseLine(lineOf(recordLine(written as SnapshotRecord)));
        // -0 has no form in JSON.
        const asJson = { ...written, value: JSON.parse(JSON.stringify(written.value)) as unknown };
        expect(read).toEqual({ ok: true, value: { kind: 'record', record: asJson } });
      }),
    );
  });

  it('begin with who has written them, and when', () => {
    expect(parseHeader(lineOf(headerLine(header)), 'tandem-state')).toEqual({ ok: true, value: header });
    const single = { ...header, peer: undefined };
    expect(parseHeader(lineOf(headerLine(single)), 'tandem-state')).toEqual({ ok: true, value: single });
  });

  it('carry other things by name', () => {
    const value = { path: '/etc/x', text: 'a\nb' };
    expect(parseLine(lineOf(partLine('config', value)))).toEqual({
      ok: true,
      value: { kind: 'part', name: 'config', value },
    });
  });

  it.each([
    ['another program', '{"some":"json"}', 'format'],
    ['no program', 'hello', 'format'],
    ['another kind of file', lineOf(headerLine({ ...header, format: 'tandem-backup' })), 'format'],
    ['a later version', lineOf(headerLine(header)).replace('"version":1', '"version":2'), 'version'],
    ['nobody', lineOf(headerLine(header)).replace('"lb1"', '""'), 'malformed'],
    ['no time', lineOf(headerLine(header)).replace('"wallMs":5', '"wallMs":"5"'), 'malformed'],
  ])('are not read when %s has written them', (_what, text, reason) => {
    expect(parseHeader(text, 'tandem-state')).toMatchObject({ ok: false, reason: { reason } });
  });

  it.each<[string, unknown]>([
    ['a field too few', ['t', 'k', 1, 1, 'o']],
    ['a field too many', ['t', 'k', 1, 1, 'o', null, 1]],
    ['an empty key', ['t', '', 1, 1, 'o', null]],
    ['a key that is too long', ['t', 'k'.repeat(513), 1, 1, 'o', null]],
    ['a counter of 0', ['t', 'k', 1, 0, 'o', null]],
    ['a counter beyond the last', ['t', 'k', 1, 2 ** 48 + 2, 'o', null]],
    ['a negative life', ['t', 'k', 1, 1, 'o', -1]],
    ['two names', { a: 1, b: 2 }],
    ['a number', 1],
  ])('are not read with %s', (_what, line) => {
    expect(parseLine(JSON.stringify(line))).toMatchObject({ ok: false, reason: { reason: 'malformed' } });
  });
});

describe('what is left of a life', () => {
  it('shrinks with the wall clock', () => {
    expect(remainingMs(record.lifeMs, 1_000, 1_004)).toBe(5);
    expect(remainingMs(record.lifeMs, 1_000, 2_000)).toBeLessThanOrEqual(0);
  });

  it('does not grow when the clock went back', () => {
    expect(remainingMs(record.lifeMs, 1_000, 0)).toBe(9);
  });

  it('is endless for what does not expire', () => {
    expect(remainingMs(undefined, 1_000, 2 ** 50)).toBe(Infinity);
  });
});
