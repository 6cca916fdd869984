import { describe, expect, it } from 'vitest';
import { SlotTable } from '../../../src/node/slot-table.ts';

describe('the table of slots', () => {
  it('gives each thing a slot of its own, and the same one every time', () => {
    const table = new SlotTable();
    expect(['a', 'b', 'a', 'c', 'b'].map((key) => table.slotOf(key))).toEqual([1, 2, 1, 3, 2]);
    expect([...table.used].sort()).toEqual([1, 2, 3]);
  });

  it('takes the slot of the thing that has not been asked for for longest when there is none left', () => {
    const table = new SlotTable(4);
    for (const key of ['a', 'b', 'c', 'a']) table.slotOf(key);
    expect(table.slotOf('d')).toBe(2);
    expect(table.slotOf('a')).toBe(1);
    expect(table.slotOf('b')).toBe(3);
  });
});
