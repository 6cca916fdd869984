/**
 * What both nodes know, on this node's disk, so that a pair that loses power on both sides starts where it was. Two
 * files: what operators have set and added, with the mastership epochs, is written at once; who is sticky to whom is
 * written now and then. Entries carry their versions, so that what was read is older to the peer than what has changed
 * since.
 */
import { join } from 'node:path';
import type { Clock, Logger, Service } from '../../runtime/index.ts';
import { KeptFile } from '../../state/io/index.ts';
import type { KeptFileEvents, Snapshot } from '../../state/io/index.ts';
import { recordLine } from '../../state/index.ts';
import type { SnapshotRecord } from '../../state/index.ts';
import type { EventLog } from '../events.ts';
import type { ReplicatedState } from '../replicated-state.ts';
import type { StateOnDiskStatus } from '../status-document.ts';
import { entryOf, tableLines } from './table-lines.ts';

export type StateKeeperOptions = {
  readonly node: string;
  readonly peer: string | undefined;
  /** Undefined: nothing is kept. */
  readonly disk: { readonly directory: string; readonly stickIntervalMs: number } | undefined;
};

export type StateKeeperPorts = {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventLog;
  readonly state: ReplicatedState;
  /** The highest known of each virtual router. */
  readonly epochs: () => ReadonlyMap<string, number>;
  readonly recallEpoch: (router: string, epoch: number) => void;
};

export type KeptContents = 'operator' | 'sticks';

/** In one turn, when they are loaded. */
const batchMax = 1_000;
/** For the last writing of a node that stops: a full stick table takes a few seconds. */
const closeTimeoutMs = 10_000;
/** The first change is written at once; many of them not all the time. */
const operatorPauseMs = 100;
const stickTable = 'sticks';
const epochTable = 'epochs';

export class StateKeeper implements Service {
  readonly name = 'state on disk';
  readonly #options: StateKeeperOptions;
  readonly #ports: StateKeeperPorts;
  readonly #files: Readonly<Record<KeptContents, KeptFile>> | undefined;
  #isLoading = false;
  #unwatch: readonly (() => void)[] = [];

  constructor(options: StateKeeperOptions, ports: StateKeeperPorts) {
    this.#options = options;
    this.#ports = ports;
    if (options.disk === undefined) return;
    const { stickIntervalMs } = options.disk;
    this.#files = {
      operator: this.#createFile('operator', operatorPauseMs, () => this.#operatorLines()),
      sticks: this.#createFile('sticks', stickIntervalMs, () =>
        tableLines(stickTable, ports.state.sticks.allEntries(), ports.clock.nowMs()),
      ),
    };
  }

  /** What tables say of changes is then nothing that has happened. */
  get isLoading(): boolean {
    return this.#isLoading;
  }

  /** Reads what there is, before anything else knows anything. Never fails: what cannot be read is not there. */
  async start(): Promise<void> {
    if (this.#files === undefined) return;
    const { operator, sticks } = this.#files;
    this.#isLoading = true;
    await this.#load('operator', operator);
    await this.#load('sticks', sticks);
    this.#isLoading = false;
    const { state } = this.#ports;
    this.#unwatch = [
      state.overrides.watchLocalChanges(() => operator.touch()),
      state.servers.watchLocalChanges(() => operator.touch()),
      state.sticks.watchLocalChanges(() => sticks.touch()),
    ];
  }

  async stop(): Promise<void> {
    for (const unwatch of this.#unwatch) unwatch();
    await Promise.all(Object.values(this.#files ?? {}).map((file) => file.close(closeTimeoutMs)));
  }

  /** Something has changed that no table of this node tells: the peer's changes, an epoch. */
  touch(contents: KeptContents): void {
    if (!this.#isLoading) this.#files?.[contents].touch();
  }

  status(): StateOnDiskStatus {
    const { disk } = this.#options;
    if (disk === undefined || this.#files === undefined) return { state: 'off', directory: undefined, files: [] };
    const files = Object.entries(this.#files).map(([contents, file]) => ({ contents, ...file.status() }));
    const isFailing = files.some(({ trouble }) => trouble !== undefined);
    return { state: isFailing ? 'failing' : 'kept', directory: disk.directory, files };
  }

  #createFile(contents: KeptContents, pauseMs: number, lines: () => Iterable<string>): KeptFile {
    const { node, peer, disk } = this.#options;
    const path = join(disk?.directory ?? '', `${node}.${contents}.state`);
    return new KeptFile(
      { path, header: { format: 'tandem-state', node, peer, contents }, pauseMs, lines },
      { clock: this.#ports.clock, events: this.#eventsOf(path) },
    );
  }

  #eventsOf(path: string): KeptFileEvents {
    const { logger, events } = this.#ports;
    const tell = (level: 'info' | 'warn', message: string): void => {
      logger[level]({ file: path }, message);
      events.add('disk', message, { file: path });
    };
    return {
      onSetAside: (why, aside) => {
        const where = aside === undefined ? 'and cannot be renamed yet' : `and is now ${aside}`;
        tell('warn', `${path} is not loaded: ${why}; it is kept as it is ${where}`);
      },
      onTrouble: (trouble) => tell('warn', `${path} cannot be written (${trouble}): what it held stays`),
      onRecovered: () => tell('info', `${path} is written again`),
    };
  }

  /** The entries as they are in this turn: what operators set together stays together. */
  *#operatorLines(): Generator<string, void, undefined> {
    const { state, clock, epochs } = this.#ports;
    const nowMs = clock.nowMs();
    const [overrides, servers] = [[...state.overrides.allEntries()], [...state.servers.allEntries()]];
    const known = [...epochs()];
    yield* tableLines('overrides', overrides, nowMs);
    yield* tableLines('servers', servers, nowMs);
    const { node: origin } = this.#options;
    // Epochs rise on their own; they have no versions.
    for (const [key, value] of known) {
      yield recordLine({ table: epochTable, key, value, counter: 1, origin, lifeMs: undefined });
    }
  }

  async #load(contents: KeptContents, file: KeptFile): Promise<void> {
    const snapshot = await file.read();
    if (snapshot === undefined) return;
    const { clock, logger, events } = this.#ports;
    const loaded = await this.#loadRecords(snapshot);
    const writtenAgoMs = clock.wallMs() - snapshot.header.wallMs;
    logger.info({ contents, loaded, bytes: snapshot.bytes, writtenAgoMs }, 'state was read from disk');
    events.add('disk', `${contents}: read from disk (${loaded})`, { contents, loaded, writtenAgoMs });
  }

  /** Answers how many were of use. */
  async #loadRecords({ header, records }: Snapshot): Promise<number> {
    const { clock } = this.#ports;
    const at = { writtenWallMs: header.wallMs, wallMs: clock.wallMs(), nowMs: clock.nowMs() };
    // A million entries have few origins between them.
    const origins = new Map<string, string>();
    let loaded = 0;
    for (const [index, record] of records.entries()) {
      if (index % batchMax === 0) await clock.sleep(0);
      const origin = origins.get(record.origin) ?? record.origin;
      origins.set(origin, origin);
      if (this.#loadRecord({ ...record, origin }, at)) loaded++;
    }
    return loaded;
  }

  #loadRecord(record: SnapshotRecord, at: Parameters<typeof entryOf>[1]): boolean {
    const { state, recallEpoch } = this.#ports;
    const { table: name, key, value } = record;
    if (name === epochTable) {
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) return false;
      recallEpoch(key, value);
      return true;
    }
    const table = Object.values(state).find((one) => one.name === name);
    const entry = entryOf(record, at);
    return table !== undefined && entry !== undefined && table.merge(entry, at.nowMs) === 'applied';
  }
}
