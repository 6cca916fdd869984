/** Backups as they travel: made by a node, through its admin socket to a file, and back. */
import { createReadStream, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import { callNode, streamFromNode } from '../../../../src/cli/client.ts';
import { parseConfig } from '../../../../src/config/index.ts';
import { AdminApi } from '../../../../src/node/admin-api.ts';
import type { NodeControl } from '../../../../src/node/admin-api.ts';
import { extractConfig, saveBackup } from '../../../../src/node/durability/backup-file.ts';
import { Backup } from '../../../../src/node/durability/backup.ts';
import { Restore } from '../../../../src/node/durability/restore.ts';
import { EventLog } from '../../../../src/node/events.ts';
import { settingsOf } from '../../../../src/node/reconfiguration.ts';
import { createReplicatedState } from '../../../../src/node/replicated-state.ts';
import { ServiceManager } from '../../../../src/node/service-manager.ts';
import { loadNative, silentLogger, systemClock, systemRandom } from '../../../../src/runtime/index.ts';

const minuteMs = 60_000;
const key = Buffer.from('0123456789abcdef0123456789abcdef');

describe('a backup', () => {
  it('brings back what was set, and takes back what was not', async () => {
    const { node, file } = setup();
    const before = await node();
    before.state.servers.set('web/s9', { address: '10.9.0.29:80' }, 0);
    before.state.overrides.set('web/s1', { admin: 'drain' }, 0);
    before.state.sticks.set('web/10.0.0.1', 's9', systemClock.nowMs(), minuteMs);
    await before.save();
    expect(statSync(file).mode & 0o777).toBe(0o600);

    const after = await node();
    after.state.servers.set('web/s8', { address: '10.9.0.28:80' }, 0);
    after.state.overrides.set('web/s2', { weight: 3 }, 0);
    after.state.sticks.set('web/10.0.0.1', 's2', systemClock.nowMs(), minuteMs);
    after.state.sticks.set('web/10.0.0.2', 's2', systemClock.nowMs(), minuteMs);
    const changes: string[] = [];
    after.state.overrides.watchLocalChanges((entry) => changes.push(entry.key));
    expect(await after.restore()).toEqual({ overrides: 1, servers: 1, sticks: 1, expired: 0 });
    expect(after.content()).toEqual([
      [['web/s1', { admin: 'drain' }]],
      [['web/s9', { address: '10.9.0.29:80' }]],
      [
        ['web/10.0.0.1', 's9'],
        ['web/10.0.0.2', 's2'],
      ],
    ]);
    // The peer hears of it as of all that operators set.
    expect(changes).toEqual(['web/s2', 'web/s1']);
    expect(after.services.list.get('web')?.servers.map(({ name }) => name)).toEqual(['s1', 's2', 's9']);
  });

  it('changes nothing when it does not fit, and says why', async () => {
    const { node, file } = setup();
    const before = await node();
    before.state.overrides.set('web/s1', { weight: 3 }, 0);
    before.state.overrides.set('shop/s1', { weight: 3 }, 0);
    await before.save();
    const after = await node();
    after.state.overrides.set('web/s2', { weight: 3 }, 0);
    await expect(after.restore()).rejects.toThrow(
      /does not fit the configuration of this node: there is no service shop/,
    );
    writeFileSync(file, readFileSync(file, 'utf8').replace('shop', 'shep'));
    await expect(after.restore()).rejects.toThrow(/^the file has another checksum than its content$/);
    writeFileSync(file, 'x'.repeat(5_000_000));
    await expect(after.restore()).rejects.toThrow(/^the file is no tandem-backup file$/);
    expect(after.content()).toEqual([[['web/s2', { weight: 3 }]], [], []]);
  });

  it('is refused while the configuration file is not the one in force', async () => {
    const { node, path } = setup();
    const { save } = await node();
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace('vrid: 51', 'vrid: 52'));
    await expect(save()).rejects.toThrow(`${path} is not what this node runs with`);
    writeFileSync(path, `${text}# a comment\n`);
    await save();
  });

  it('replaces a file only when it is told to', async () => {
    const { node, file } = setup();
    const { save } = await node();
    writeFileSync(file, 'precious');
    await expect(save()).rejects.toThrow(`${file} is there already`);
    expect(readFileSync(file, 'utf8')).toBe('precious');
    await save({ force: true });
    expect(readFileSync(file, 'utf8')).toMatch(/^\{"format":"tandem-backup","version":1,/);
  });

  it('that breaks off on its way leaves no file', async () => {
    const { file } = setup();
    const broken = Readable.from(
      (function* () {
        yield Buffer.from('half');
        throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
      })(),
    );
    await expect(saveBackup(() => Promise.resolve(broken), { path: file, force: false })).rejects.toThrow(
      `${file}: ECONNRESET`,
    );
    expect(() => statSync(file)).toThrow('ENOENT');
    expect(() => statSync(`${file}.tmp`)).toThrow('ENOENT');
  });

  it('has keys only when they are asked for, and gives them and the configuration back to files', async () => {
    const { node, file, path, keyFile } = setup();
    const { save } = await node();
    await save();
    expect(readFileSync(file, 'utf8')).not.toContain('{"key"');
    await save({ force: true, withKeys: true });
    const restored = `${path}.restored`;
    writeFileSync(keyFile, 'another');
    await expect(extractConfig(file, { path: restored, force: false })).rejects.toThrow(`${keyFile} is there already`);
    expect(() => statSync(restored)).toThrow('ENOENT');
    expect(await extractConfig(file, { path: restored, force: true })).toEqual([restored, keyFile]);
    expect(readFileSync(restored, 'utf8')).toBe(readFileSync(path, 'utf8'));
    expect(readFileSync(keyFile)).toEqual(key);
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
  });
});

const configText = `nodes: [{name: lb1, address: 127.0.0.1}, {name: lb2, address: 127.0.0.2}]
sync: {keyFile: KEY}
virtualRouters: [{name: web, vrid: 51, interface: lo, addresses: [10.9.0.100/24]}]
services:
  - {name: web, listen: '10.9.0.100:80', stick: {by: source}, check: false,
     servers: [{name: s1, address: '10.9.0.21:80'}, {name: s2, address: '10.9.0.22:80'}]}
`;

function setup() {
  const directory = mkdtempSync(join(tmpdir(), 'tandem-backup-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'tandem.yaml');
  const keyFile = join(directory, 'sync.key');
  const file = join(directory, 'backup');
  const text = configText.replace('KEY', keyFile);
  writeFileSync(path, text);
  const parsed = parseConfig(text, path);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.reason));
  const [self, peer] = parsed.value.nodes;
  if (self === undefined) throw new Error('no node');
  const settings = settingsOf({ config: parsed.value, syncKeys: [key], hmacKeys: new Map() }, { self, peer });
  let nodes = 0;

  /** A node that has not been started, behind its admin socket. */
  const node = async () => {
    const name = `n${++nodes}`;
    const events = new EventLog(() => 0);
    const ignore = (): void => undefined;
    const state = createReplicatedState(`${name}/boot`, {
      ...{ onOverride: ignore, onServer: ignore, onStick: ignore, onEjection: ignore },
    });
    const shared = { clock: systemClock, logger: silentLogger, events };
    const services = new ServiceManager(
      { ...parsed.value, workers: 1, checkSource: '127.0.0.1', accessLog: undefined },
      { ...shared, native: loadNative(), random: systemRandom, state, onUsable: ignore },
    );
    onTestFinished(() => services.stop());
    const backup = new Backup({ node: 'lb1', peer: 'lb2', path }, { ...shared, state, settings: () => settings });
    const restoring = new Restore({ ...shared, services });
    const control: Pick<NodeControl, 'backup' | 'restore'> = {
      backup: (withKeys) => backup.create({ withKeys }),
      restore: (pieces) => restoring.run(pieces),
    };
    const admin = new AdminApi(
      { socketPath: join(directory, `${name}.sock`), group: undefined, listen: undefined },
      { ...shared, control: control as NodeControl, native: loadNative() },
    );
    await admin.start();
    onTestFinished(() => admin.stop());
    const client = { socketDirectory: directory, node: name };
    const save = async ({ force = false, withKeys = false } = {}): Promise<number> => {
      const call = { method: 'GET', path: `/backup?keys=${withKeys ? 1 : 0}` } as const;
      return saveBackup(() => streamFromNode(client, call), { path: file, force });
    };
    const restore = (): Promise<unknown> =>
      callNode(client, { method: 'POST', path: '/restore', stream: createReadStream(file) });
    const content = (): unknown =>
      [state.overrides, state.servers, state.sticks].map((table) => [...table.entries(systemClock.nowMs())].toSorted());
    return { state, services, save, restore, content };
  };
  return { node, file, path, keyFile };
}
