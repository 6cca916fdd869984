/** A backup: the configuration and what operators and clients have made of it, as one file that people can read. */
import { readFile } from 'node:fs/promises';
import { concatBytes } from '../../base/index.ts';
import { configHash, parseConfig } from '../../config/index.ts';
import { keyFilesOf } from '../../config/io/index.ts';
import { OperatorError } from '../../runtime/index.ts';
import type { Clock } from '../../runtime/index.ts';
import { partLine } from '../../state/index.ts';
import { snapshotPieces } from '../../state/io/index.ts';
import type { Entry } from '../../sync/index.ts';
import type { Settings } from '../reconfiguration.ts';
import type { ReplicatedState } from '../replicated-state.ts';
import { tableLines } from './table-lines.ts';

export type BackupPorts = {
  readonly clock: Clock;
  readonly state: ReplicatedState;
  readonly settings: () => Settings;
};

export type BackupOptions = {
  readonly node: string;
  readonly peer: string | undefined;
  /** Of the configuration. */
  readonly path: string;
};

/** What stands in the file beside the tables' entries. */
export const backupParts = { config: 'config', key: 'key' } as const;

export class Backup {
  readonly #options: BackupOptions;
  readonly #ports: BackupPorts;

  constructor(options: BackupOptions, ports: BackupPorts) {
    this.#options = options;
    this.#ports = ports;
  }

  /** The file's bytes. Throws OperatorError `NOT_RELOADED` when the configuration's file is not the one in force. */
  async create({ withKeys }: { readonly withKeys: boolean }): Promise<AsyncIterable<Uint8Array>> {
    const { clock } = this.#ports;
    const { node, peer, path } = this.#options;
    const text = await this.#configText();
    const nowMs = clock.nowMs();
    const header = { format: 'tandem-backup', node, peer, contents: 'all', wallMs: clock.wallMs() } as const;
    const first = [partLine(backupParts.config, { path, text }), ...(withKeys ? this.#keyLines() : [])];
    return snapshotPieces(header, this.#lines(first, nowMs), { clock });
  }

  async #configText(): Promise<string> {
    const { path } = this.#options;
    const text = await readFile(path, 'utf8').catch(() => undefined);
    const parsed = text === undefined ? undefined : parseConfig(text, path);
    if (text !== undefined && parsed?.ok === true && configHash(parsed.value) === this.#ports.settings().hash)
      return text;
    const what = `${path} is not what this node runs with`;
    throw new OperatorError('NOT_RELOADED', what, 'tandem reload it, or put back what it was');
  }

  #keyLines(): readonly string[] {
    const { config, syncKeys, hmacKeys } = this.#ports.settings().loaded;
    const files = new Set(keyFilesOf(config).map(({ keyFile }) => keyFile));
    return [...files].flatMap((file) => {
      const bytes = file === config.sync?.keyFile ? keyFileBytes(syncKeys ?? []) : hmacKeys.get(file);
      return bytes === undefined
        ? []
        : [partLine(backupParts.key, { file, base64: Buffer.from(bytes).toString('base64') })];
    });
  }

  *#lines(first: readonly string[], nowMs: number): Generator<string, void, undefined> {
    const { overrides, servers, sticks } = this.#ports.state;
    yield* first;
    for (const table of [overrides, servers, sticks]) yield* livingLines(table.name, table.allEntries(), nowMs);
  }
}

/** A key by itself may be no text; two are lines. */
function keyFileBytes(keys: readonly Uint8Array[]): Uint8Array {
  const newline = Uint8Array.of(10);
  return concatBytes(...keys.flatMap((key, index) => (index === 0 ? [key] : [newline, key])));
}

/** Without what is only remembered as deleted. */
function* livingLines(table: string, entries: Iterable<Entry>, nowMs: number): Generator<string, void, undefined> {
  for (const entry of entries) {
    if (entry.value === undefined) yield '';
    else yield* tableLines(table, [entry], nowMs);
  }
}
