/**
 * Writes a kept file again and again until it is killed: `state-writer.ts PATH FIRST`. Every entry of a snapshot has
 * its number. It prints the number of each that was written.
 */
import { systemClock } from '../../src/runtime/index.ts';
import { recordLine } from '../../src/state/index.ts';
import { KeptFile } from '../../src/state/io/index.ts';

const [path = '', first = '0'] = process.argv.slice(2);
const entries = 5_000;

let number = Number(first);

const file = new KeptFile(
  {
    path,
    header: { format: 'tandem-state', node: 'lb1', peer: 'lb2', contents: 'sticks' },
    pauseMs: 0,
    *lines() {
      const value = ++number;
      for (let index = 0; index < entries; index++) {
        yield recordLine({ table: 't', key: `web/${index}`, value, counter: value, origin: 'o', lifeMs: undefined });
      }
    },
  },
  { clock: systemClock, events: { onSetAside: fail, onTrouble: fail, onRecovered: fail } },
);

function fail(why?: string): never {
  throw new Error(why);
}

await file.read();
for (let told = number; ;) {
  file.touch();
  await systemClock.sleep(1);
  if (file.status().writtenForMs === undefined || told === number) continue;
  // One of a higher number may be under way: what is told is what was whole before it.
  process.stdout.write(`${told}\n`);
  told = number;
}
