import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../../src/runtime/index.ts';
import { recordLine } from '../../../../src/state/index.ts';
import { KeptFile } from '../../../../src/state/io/index.ts';
import type { KeptFileOptions } from '../../../../src/state/io/index.ts';
import { waitUntil } from '../../../lab/time.ts';

const wallMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

describe('KeptFile', () => {
  it('writes what has changed, and reads it in a later life', async () => {
    const { open, path } = setup();
    const { file, say } = open();
    expect(await file.read()).toBeUndefined();
    say('first');
    await file.close(5_000);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await valuesOf(open().file)).toEqual(['first']);
  });

  it('makes its directory for its owner alone', async () => {
    const { open, directory } = setup();
    await open().file.read();
    expect(statSync(join(directory, 'state')).mode & 0o777).toBe(0o700);
  });

  it('does not write what has not changed', async () => {
    const { open, path } = setup();
    const { file } = open();
    await file.read();
    await file.close(5_000);
    expect(existsSync(path)).toBe(false);
  });

  it('writes changes that come while it writes together, in one writing more', async () => {
    const { open } = setup();
    const { file, say, writings } = open();
    await file.read();
    say('0');
    await waitUntil(() => writings() === 1, { timeoutMs: 5_000, what: 'a writing has begun' });
    for (let count = 1; count <= 100; count++) say(String(count));
    await file.close(5_000);
    expect(writings()).toBe(2);
    expect(await valuesOf(open().file)).toEqual(['100']);
  });

  it('waits for its pause between two writings, and not when it is closed', async () => {
    const { open } = setup();
    const { file, say, writings } = open({ pauseMs: 60_000 });
    await file.read();
    say('only at the end');
    await systemClock.sleep(50);
    expect(writings()).toBe(0);
    await file.close(5_000);
    expect(await valuesOf(open().file)).toEqual(['only at the end']);
  });

  it.each<[string, (bytes: Buffer) => Buffer | string, RegExp]>([
    ['changed', (bytes) => Buffer.from(bytes.toString().replace('good', 'evil')), /another checksum/],
    ['cut off', (bytes) => bytes.subarray(0, -1), /is cut off/],
    ['empty', () => '', /is empty/],
    ['of another program', () => 'hello\n', /is no tandem-state file/],
    ['of a later version', (bytes) => bytes.toString().replace('"version":1', '"version":9'), /has version 9/],
  ])('sets aside a file that is %s, and begins anew', async (_what, change, why) => {
    const { open, path } = setup();
    await writeOnce(open(), 'good');
    const changed = change(readFileSync(path));
    writeFileSync(path, changed);
    const second = open();
    expect(await second.file.read()).toBeUndefined();
    const aside = `${path}.bad-20260102T030405.678Z`;
    expect(second.told).toEqual([['set aside', expect.stringMatching(why), aside]]);
    expect(readFileSync(aside)).toEqual(Buffer.from(changed));
    expect(second.file.status().setAside).toEqual([aside]);
    await writeOnce(second, 'new');
    expect(await valuesOf(open().file)).toEqual(['new']);
    // Until somebody has taken it away.
    rmSync(aside);
    await waitUntil(() => second.file.status().setAside.length === 0, {
      timeoutMs: 5_000,
      what: 'it is seen to be gone',
    });
  });

  it.each([
    ['another node', { node: 'lb9' }, /of another node, lb9/],
    ['another pair', { peer: 'lb9' }, /of another pair: lb1 with lb9/],
    ['other contents', { contents: 'operator' }, /holds operator, not sticks/],
  ])('sets aside a file of %s', async (_what, other, why) => {
    const { open } = setup();
    await writeOnce(open({ header: { ...header, ...other } }), 'foreign');
    const { file, told } = open();
    expect(await file.read()).toBeUndefined();
    expect(told).toEqual([['set aside', expect.stringMatching(why), expect.stringContaining('.bad-')]]);
  });

  it('reads its file after the pair was made a single node, and the other way round', async () => {
    const { open } = setup();
    await writeOnce(open(), 'of a pair');
    expect(await valuesOf(open({ header: { ...header, peer: undefined } }).file)).toEqual(['of a pair']);
    await writeOnce(open({ header: { ...header, peer: undefined } }), 'of one');
    expect(await valuesOf(open().file)).toEqual(['of one']);
  });

  it('keeps the last eight that were set aside, the new one among them although the clock went back', async () => {
    const { open, path } = setup();
    for (let count = 0; count < 10; count++) {
      await open().file.read();
      writeFileSync(path, `bad ${count}`);
      await open({}, count < 9 ? wallMs + count : 0).file.read();
    }
    const { setAside } = await opened(open());
    expect(setAside).toHaveLength(8);
    expect(setAside.map((name) => readFileSync(name, 'utf8')).toSorted()).toEqual(
      [2, 3, 4, 5, 6, 7, 8, 9].map((count) => `bad ${count}`),
    );
  });

  it('does not follow a link that stands in place of the file', async () => {
    const { open, path, directory } = setup();
    await open().file.read();
    const target = join(directory, 'other');
    writeFileSync(target, 'not mine');
    symlinkSync(target, `${path}.tmp`);
    const { file, say, told } = open();
    await file.read();
    say('x');
    await file.close(5_000);
    expect(readFileSync(target, 'utf8')).toBe('not mine');
    expect(told).toEqual([['trouble', 'ELOOP']]);
  });

  it('leaves what was written before when the directory has become a file, and says so', async () => {
    const { open, directory } = setup();
    writeFileSync(join(directory, 'state'), '');
    const { file, say, told } = open();
    expect(await file.read()).toBeUndefined();
    say('x');
    await file.close(5_000);
    expect(told).toEqual([['trouble', 'ENOTDIR']]);
    expect(file.status()).toMatchObject({ trouble: 'ENOTDIR', writtenForMs: undefined });
  });

  it('writes over what an interrupted writing has left', async () => {
    const { open, path, directory } = setup();
    mkdirSync(join(directory, 'state'));
    writeFileSync(`${path}.tmp`, 'x'.repeat(100_000), { mode: 0o644 });
    chmodSync(`${path}.tmp`, 0o644);
    await writeOnce(open(), 'new');
    expect(await valuesOf(open().file)).toEqual(['new']);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(directory, 'state'))).toEqual(['lb1.sticks.state']);
  });
});

const header = { format: 'tandem-state', node: 'lb1', peer: 'lb2', contents: 'sticks' } as const;

type Told = readonly (string | undefined)[];

function setup() {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-state-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'state', 'lb1.sticks.state');
  /** A life of the program, at a time of the wall clock. */
  const open = (options: Partial<KeptFileOptions> = {}, atWallMs = wallMs) => {
    const told: Told[] = [];
    let value = '';
    let writings = 0;
    const file = new KeptFile(
      {
        ...{ path, header, pauseMs: 0 },
        lines: () => {
          writings++;
          return [recordLine({ table: 't', key: 'k', value, counter: 1, origin: 'o', lifeMs: undefined })];
        },
        ...options,
      },
      {
        clock: { ...systemClock, wallMs: () => atWallMs },
        events: {
          onSetAside: (why, aside) => told.push(['set aside', why, aside]),
          onTrouble: (trouble) => told.push(['trouble', trouble]),
          onRecovered: () => told.push(['recovered']),
        },
      },
    );
    const say = (next: string): void => {
      value = next;
      file.touch();
    };
    return { file, say, told, writings: () => writings };
  };
  return { directory, path, open };
}

async function writeOnce({ file, say }: { file: KeptFile; say: (value: string) => void }, value: string) {
  await file.read();
  say(value);
  await file.close(5_000);
}

async function valuesOf(file: KeptFile): Promise<readonly unknown[] | undefined> {
  return (await file.read())?.records.map(({ value }) => value);
}

async function opened({ file }: { file: KeptFile }) {
  await file.read();
  return file.status();
}
