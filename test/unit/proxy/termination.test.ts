import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { endCauses, refusalCode, terminationCode } from '../../../src/proxy/index.ts';

const operations = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8');

describe('termination codes', () => {
  it.each(endCauses)('of %s are those that docs/operations.md tells', (cause) => {
    const row = operations.split('\n').find((line) => line.startsWith('|') && line.includes(`\`${cause}\``));
    const [, causes = '', codes = ''] = row?.split('|') ?? [];
    const index = causes.split(', ').findIndex((name) => name.includes(`\`${cause}\``));
    const told = causes.includes(', ') ? [codes.split(', ')[index] ?? ''] : codes.split(', ');
    const possible = (['choosing', 'connecting', 'relaying'] as const).map((phase) => terminationCode(cause, phase));
    for (const code of told) expect(possible).toContain(code.replace(/[` ]/g, ''));
    expect(told.length).toBeGreaterThan(0);
  });

  it.each([
    ...['denied', 'maxconn', 'source-connections', 'source-rate', 'proxy-timeout', 'tls-timeout', 'proxy-cut'],
    ...['tls-cut', 'no-such-name', 'not-tls', 'too-many-silent'],
  ] as const)('of clients refused at the door for %s are those that docs/operations.md tells', (reason) => {
    const row = operations
      .split('\n')
      .map((line) => line.split('|'))
      .find(([, reasons = '']) => reasons.includes(`\`${reason}\``));
    expect(row?.[2]?.trim()).toBe(`\`${refusalCode(reason)}\``);
  });
});
