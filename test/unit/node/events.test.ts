import { describe, expect, it } from 'vitest';
import { EventLog } from '../../../src/node/events.ts';

describe('EventLog', () => {
  it('gives what came after a sequence number, oldest first', () => {
    const log = new EventLog(() => 42);
    log.add('node', 'one');
    log.add('peer', 'two', { name: 'lb2' });
    expect(log.after(1)).toEqual([{ sequence: 2, wallMs: 42, kind: 'peer', message: 'two', fields: { name: 'lb2' } }]);
  });

  it('forgets the oldest beyond a thousand', () => {
    const log = new EventLog(() => 0);
    for (let i = 1; i <= 1_200; i++) log.add('node', String(i));
    expect([log.after(0).length, log.after(0)[0]?.message]).toEqual([1_000, '201']);
  });

  it('calls followers until they leave', () => {
    const log = new EventLog(() => 0);
    const seen: string[] = [];
    const leave = log.follow((event) => seen.push(event.message));
    log.add('node', 'a');
    leave();
    log.add('node', 'b');
    expect(seen).toEqual(['a']);
  });
});
