import { describe, expect, test } from 'vitest';
import { configHash } from '../../../src/config/index.ts';
import { pair, pairWith, parsed } from './fixtures.ts';

const hash = configHash(parsed(pair));

describe('the hash of a configuration', () => {
  test('is 16 hexadecimal digits, the same in every version and on every machine', () => {
    expect(hash).toBe('e3c0afc935c960d2');
  });

  test.each([
    ['a comment', ['vrid: 51', 'vrid: 51 # the number']],
    ['braces', ['sync:\n  keyFile: /etc/tandem/sync.key', 'sync: {keyFile: /etc/tandem/sync.key}']],
    ['another order of keys', ['    vrid: 51\n    interface: eth0\n', '    interface: eth0\n    vrid: 51\n']],
    ['another order of nodes in a mapping', ['interface: eth0', 'interface: {lb2: eth0, lb1: eth0}']],
    ['a default written out', ['vrid: 51', 'vrid: 51\n    advertInterval: 100ms']],
    ['another unit', ['vrid: 51', 'vrid: 51\n    advertInterval: 0.1s']],
  ] as const)('does not change with %s', (_name, change) => {
    expect(configHash(parsed(pairWith(change)))).toBe(hash);
  });

  test.each([
    ['a number', ['vrid: 51', 'vrid: 52']],
    ['an address', ["'10.9.0.21:8080'", "'10.9.0.22:8080'"]],
    ['a switch', ['    servers:', '    check: false\n    servers:']],
    ['a duration', ['vrid: 51', 'vrid: 51\n    advertInterval: 110ms']],
    ['the order of a list', ['[10.9.0.100/24]', '[10.9.0.101/24, 10.9.0.100/24]']],
  ] as const)('changes with %s', (_name, change) => {
    expect(configHash(parsed(pairWith(change)))).not.toBe(hash);
  });
});
