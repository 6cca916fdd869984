import { expect, test } from 'vitest';
import { nearest } from '../../../src/config/nearest.ts';

const keys = ['name', 'vrid', 'mode', 'by', 'advertInterval', 'syncAddress'];

test.each([
  ['vird', 'vrid'],
  ['Name', 'name'],
  ['advert-interval', 'advertInterval'],
  ['advertInterfal', 'advertInterval'],
  ['syncAddr', 'syncAddress'],
  ['timeout', undefined],
  ['if', undefined],
  ['x', undefined],
  ['', undefined],
])('%j means %j', (text, meant) => {
  expect(nearest(text, keys)).toBe(meant);
});
