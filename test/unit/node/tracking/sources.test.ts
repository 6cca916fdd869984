import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { FileSource } from '../../../../src/node/tracking/file-source.ts';
import { InterfaceWatcher } from '../../../../src/node/tracking/interface-watcher.ts';
import type { Observation, Source } from '../../../../src/node/tracking/observation.ts';
import { ScriptSource } from '../../../../src/node/tracking/script-source.ts';
import { ManualClock, systemClock } from '../../../../src/runtime/index.ts';
import { MemoryKernel } from '../../../../src/vip/io/index.ts';

const running: Source[] = [];
const directories: string[] = [];

afterEach(async () => {
  for (const source of running.splice(0)) await source.stop();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-tracking-'));
  directories.push(directory);
  return directory;
}

/** Observations in their order, and a way to wait for one. */
function observer() {
  const seen: string[] = [];
  let wake = (): void => undefined;
  return {
    seen,
    observe: ({ verdict, detail }: Observation): void => {
      seen.push(`${verdict}: ${detail}`);
      wake();
    },
    until: async (text: string): Promise<void> => {
      while (!seen.includes(text)) await new Promise<void>((resolve) => (wake = resolve));
    },
  };
}

describe('a tracked interface', () => {
  async function watched() {
    const kernel = new MemoryKernel({ clock: new ManualClock() });
    const { seen, observe } = observer();
    const index = kernel.createLink('eth1');
    const watcher = new InterfaceWatcher({ kernel });
    watcher.watch('eth1', observe);
    await watcher.start();
    running.push(watcher);
    const link = { name: 'eth1', index, macAddress: new Uint8Array(6), up: true };
    return { kernel, link, seen };
  }

  it('is up, loses its carrier, gets it back', async () => {
    const { kernel, link, seen } = await watched();
    kernel.setLink({ ...link, up: false });
    kernel.setLink(link);
    expect(seen).toEqual(['up: is up', 'down: is down or has no carrier', 'up: is up']);
  });

  it('is gone when it is removed or renamed, and there again under another index', async () => {
    const { kernel, link, seen } = await watched();
    await kernel.deleteLink(link.index);
    kernel.createLink('eth1');
    kernel.setLink({ ...link, index: 2, name: 'other' });
    expect(seen).toEqual(['up: is up', 'down: does not exist', 'up: is up', 'down: does not exist']);
  });

  it('is looked at anew when events were lost', async () => {
    const { kernel, link, seen } = await watched();
    await kernel.overrun(async () => {
      await kernel.deleteLink(link.index);
    });
    await Promise.resolve();
    await Promise.resolve();
    expect(seen).toEqual(['up: is up', 'down: does not exist']);
  });

  it('need not exist', async () => {
    const { seen, observe } = observer();
    const watcher = new InterfaceWatcher({ kernel: new MemoryKernel({ clock: new ManualClock() }) });
    watcher.watch('eth9', observe);
    await watcher.start();
    expect(seen).toEqual(['down: does not exist']);
  });
});

describe('a tracked file', () => {
  async function watched(content?: string) {
    const path = join(freshDirectory(), 'weight');
    if (content !== undefined) writeFileSync(path, content);
    const observed = observer();
    const source = new FileSource(path, { clock: systemClock, observe: observed.observe });
    await source.start();
    running.push(source);
    return { path, ...observed };
  }

  it.each([
    [undefined, 'down: is not there, or cannot be read'],
    ['', 'down: holds no whole number'],
    ['seven', 'down: holds no whole number'],
    ['1.5', 'down: holds no whole number'],
    ['7'.repeat(40), 'down: holds no whole number'],
    ['7\n', 'up: holds 7'],
    [' -12 ', 'up: holds -12'],
    ['+0', 'up: holds 0'],
  ])('with the content %j is %s', async (content, expected) => {
    expect((await watched(content)).seen).toEqual([expected]);
  });

  it('is followed when it is made, written, replaced and removed', async () => {
    const { path, until } = await watched();
    writeFileSync(path, '1');
    await until('up: holds 1');
    writeFileSync(path, '2');
    await until('up: holds 2');
    writeFileSync(`${path}.new`, '3');
    renameSync(`${path}.new`, path);
    await until('up: holds 3');
    rmSync(path);
    await until('down: is not there, or cannot be read');
  });

  it('that is a directory is none', async () => {
    const { observe, seen } = observer();
    const source = new FileSource(tmpdir(), { clock: systemClock, observe });
    running.push(source);
    await source.start();
    expect(seen).toEqual(['down: is not there, or cannot be read']);
  });
});

describe('a tracked script', () => {
  const options = { interMs: 20, timeoutMs: 5_000, rise: 1, fall: 2 };

  it('is run again and again, and believed after `fall` failures', async () => {
    const directory = freshDirectory();
    const { seen, observe, until } = observer();
    const command = ['/bin/sh', '-c', `test ! -e ${directory}/ill || { echo ouch; exit 1; }`];
    const source = new ScriptSource({ ...options, command }, { clock: systemClock, observe });
    running.push(source);
    await source.start();
    await until('up: succeeded');
    writeFileSync(join(directory, 'ill'), '');
    await until('down: failed: exit code 1: ouch');
    expect(seen).toContain('up: failed: exit code 1: ouch');
  });

  it('never runs twice at the same time', async () => {
    const directory = freshDirectory();
    const { seen, observe, until } = observer();
    // Fails when another one holds the directory that stands for "running".
    const script = [
      `mkdir ${directory}/run || exit 9`,
      `sleep 0.1; rmdir ${directory}/run`,
      `echo >> ${directory}/n; test $(wc -l < ${directory}/n) -lt 4`,
    ];
    const command = ['/bin/sh', '-c', script.join('; ')];
    const source = new ScriptSource({ ...options, fall: 1, command }, { clock: systemClock, observe });
    running.push(source);
    await source.start();
    await until('down: failed: exit code 1');
    expect(seen.slice(0, 4)).toEqual([...Array<string>(3).fill('up: succeeded'), 'down: failed: exit code 1']);
  });

  it('that is stopped is killed', async () => {
    const { seen, observe } = observer();
    const source = new ScriptSource({ ...options, command: ['/bin/sleep', '60'] }, { clock: systemClock, observe });
    await source.start();
    await source.stop();
    expect(seen).toEqual([]);
  });
});
