import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Work } from '../../../../src/vrrp/io/work-queue.ts';
import { WorkQueue } from '../../../../src/vrrp/io/work-queue.ts';

const promotion: readonly Work[] = [
  { type: 'claim-addresses' },
  { type: 'send-advert', priority: 100 },
  { type: 'announce' },
];
const advert: Work = { type: 'send-advert', priority: 100 };
const release: Work = { type: 'release-addresses' };
const goodbye: Work = { type: 'send-advert', priority: 0 };

describe('the work queue', () => {
  it('leaves the addresses as the last promotion or demotion wants them, however slow the work is', async () => {
    const commands = fc.constantFrom('promote', 'advert', 'demote', 'shutdown', 'work ends' as const);
    await fc.assert(
      fc.asyncProperty(fc.array(commands, { maxLength: 40 }), async (script) => {
        const done: Work[] = [];
        let finish: (() => void) | undefined;
        const queue = new WorkQueue((work) => {
          done.push(work);
          if (work.type !== 'claim-addresses' && work.type !== 'release-addresses') return undefined;
          return new Promise((resolve) => (finish = resolve));
        });
        const add = (...work: readonly Work[]): void => {
          for (const one of work) queue.add(one);
          queue.run();
        };
        let isActive = false;
        for (const command of script) {
          if (command === 'work ends') {
            finish?.();
            await flush();
          } else if (command === 'promote') {
            if (!isActive) add(...promotion);
            isActive = true;
          } else if (command === 'advert') {
            if (isActive) add(advert);
          } else {
            if (isActive) add(...(command === 'demote' ? [release] : [release, goodbye]));
            isActive = false;
          }
        }
        const idle = queue.idle();
        for (let round = 0; round < 10; round++) {
          finish?.();
          await flush();
        }
        await idle;
        expect(done.findLast(isAboutAddresses)?.type).toBe(isActive ? 'claim-addresses' : lastIdleWork(done));
        expect(done.every((work, index) => !isActiveOnly(work) || holdsAddresses(done.slice(0, index)))).toBe(true);
      }),
    );
  });

  it('keeps one of each kind at most', async () => {
    const done: Work['type'][] = [];
    let finish: () => void = () => undefined;
    const queue = new WorkQueue((work) => {
      done.push(work.type);
      return done.length === 1 ? new Promise((resolve) => (finish = resolve)) : undefined;
    });
    queue.add(release);
    queue.run();
    for (let round = 0; round < 100; round++) {
      for (const work of [release, goodbye, ...promotion, advert]) queue.add(work);
    }
    queue.run();
    expect(done).toEqual(['release-addresses']);
    finish();
    await queue.idle();
    expect(done.slice(1).toSorted()).toEqual([
      'announce',
      'claim-addresses',
      'release-addresses',
      'send-advert',
      'send-advert',
    ]);
  });
});

/** Without any promotion that began nothing has been done at all. */
function lastIdleWork(done: readonly Work[]): Work['type'] | undefined {
  return done.length === 0 ? undefined : 'release-addresses';
}

function isAboutAddresses(work: Work): boolean {
  return work.type === 'claim-addresses' || work.type === 'release-addresses';
}

function isActiveOnly(work: Work): boolean {
  return work.type === 'announce' || (work.type === 'send-advert' && work.priority !== 0);
}

function holdsAddresses(before: readonly Work[]): boolean {
  return before.findLast(isAboutAddresses)?.type === 'claim-addresses';
}

async function flush(): Promise<void> {
  for (let round = 0; round < 5; round++) await Promise.resolve();
}
