/**
 * A new configuration for a node that runs: read and checked as a whole, compared with the one that is in force, and
 * applied all or nothing; one after the other when several are asked for.
 */
import { configWarnings, diffConfig, formatChange, needsRestart } from '../config/index.ts';
import type { Config, ConfigChange, Problem } from '../config/index.ts';
import { OperatorError } from '../runtime/index.ts';
import type { Logger } from '../runtime/index.ts';
import type { Result } from '../base/index.ts';
import type { SyncKeys } from '../sync/io/index.ts';
import type { EventLog } from './events.ts';
import type { RouterState } from './status-document.ts';
import { identityChanges } from './router-plan.ts';
import { routerSpecs } from './settings.ts';
import type { Keys, NodeIdentity } from './settings.ts';

/** What a node is configured by: the file, and the files that it names. */
export type Loaded = {
  readonly config: Config;
  /** Of the sync link; undefined on a single node. */
  readonly syncKeys: SyncKeys | undefined;
  /** The content of every HMAC key file. */
  readonly hmacKeys: Keys;
};

/** Reads a configuration file anew, and the key files. */
export type ReadConfig = (path: string) => Promise<Result<Loaded, readonly Problem[]>>;

export type ReloadRequest = {
  /** Undefined: the file that the node was started with. */
  readonly path: string | undefined;
  /** Only tells what would change. */
  readonly isDryRun: boolean;
};

export type ReloadReport = {
  readonly outcome: 'applied' | 'unchanged' | 'dry-run' | 'invalid';
  readonly changes: readonly (ConfigChange & { readonly text: string })[];
  /** Why the file is invalid. */
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
};

export type ReloaderPorts = {
  readonly logger: Logger;
  readonly events: EventLog;
  readonly read: ReadConfig;
  readonly current: () => Loaded;
  readonly stateOf: (router: string) => RouterState | undefined;
  /** Throws OperatorError when the world refuses; the node is as it was before then, or the code is `NOT_PUT_BACK`. */
  readonly apply: (next: Loaded) => Promise<void>;
};

/** So many changes are told in one event; the log has them all. */
const toldMax = 10;

export class Reloader {
  readonly #path: string;
  readonly #identity: NodeIdentity;
  readonly #ports: ReloaderPorts;
  #lastTurn: Promise<unknown> = Promise.resolve();

  constructor(options: { path: string; identity: NodeIdentity }, ports: ReloaderPorts) {
    this.#path = options.path;
    this.#identity = options.identity;
    this.#ports = ports;
  }

  /** Throws OperatorError when nothing of the change is applied, with the reason. */
  reload(request: ReloadRequest): Promise<ReloadReport> {
    const result = this.#lastTurn.then(() => this.#reload(request));
    this.#lastTurn = result.catch(() => undefined);
    return result;
  }

  async #reload({ path = this.#path, isDryRun }: ReloadRequest): Promise<ReloadReport> {
    const loaded = await this.#ports.read(path);
    if (!loaded.ok) {
      const count = loaded.reason.length === 1 ? '1 problem' : `${loaded.reason.length} problems`;
      if (!isDryRun) this.#tell('warn', `${path} has ${count}: nothing is reloaded`, []);
      return { outcome: 'invalid', changes: [], problems: loaded.reason, warnings: [] };
    }
    const next = loaded.value;
    const changes = changesOf(this.#ports.current(), next);
    const report = {
      changes: changes.map((change) => ({ ...change, text: formatChange(change) })),
      problems: [],
      warnings: configWarnings(next.config),
    };
    const lines = report.changes.map(({ text }) => text);
    if (isDryRun) return { outcome: 'dry-run', ...report };
    try {
      this.#refuseWhatCannotBe(next, changes);
      if (changes.length > 0) await this.#apply(next);
    } catch (error) {
      if (error instanceof OperatorError) this.#tell('warn', `not reloaded: ${error.line}`, lines);
      throw error;
    }
    if (changes.length > 0) this.#tell('info', `reloaded: ${summaryOf(lines)}`, lines);
    return { outcome: changes.length > 0 ? 'applied' : 'unchanged', ...report };
  }

  async #apply(next: Loaded): Promise<void> {
    try {
      await this.#ports.apply(next);
    } catch (cause) {
      if (!(cause instanceof OperatorError) || cause.code === 'NOT_PUT_BACK') throw cause;
      const what = `${cause.message} (everything is as it was before)`;
      throw new OperatorError(cause.code, what, cause.mend, { cause });
    }
  }

  #refuseWhatCannotBe(next: Loaded, changes: readonly ConfigChange[]): void {
    const fixed = changes.filter(needsRestart).map(({ path }) => path);
    if (fixed.length > 0) {
      throw new OperatorError(
        'RESTART_NEEDED',
        `${fixed.join(', ')} cannot change while the node runs; nothing is reloaded`,
        'restart: tandem failover first, then restart the node',
      );
    }
    const held = this.#heldAndRemade(next);
    if (held.length === 0) return;
    const { self, peer } = this.#identity;
    const mend =
      peer === undefined
        ? 'restart the node'
        : `reload ${peer.name} first, then tandem failover --force, then reload ${self.name}`;
    throw new OperatorError('ROUTER_ACTIVE', `${held.join(', ')} cannot change while ${self.name} is active`, mend);
  }

  /** What changes of virtual routers that would have to let go of their addresses for it. */
  #heldAndRemade(next: Loaded): readonly string[] {
    const before = this.#specs(this.#ports.current());
    return this.#specs(next).flatMap((to) => {
      const from = before.find(({ name }) => name === to.name);
      if (from === undefined || this.#ports.stateOf(to.name) !== 'active') return [];
      return identityChanges(from, to).map((key) => `virtualRouters.${to.name}.${key}`);
    });
  }

  #specs({ config, hmacKeys }: Loaded) {
    return routerSpecs(config, this.#identity, hmacKeys);
  }

  #tell(level: 'info' | 'warn', message: string, changes: readonly string[]): void {
    this.#ports.logger[level]({ changes }, message);
    this.#ports.events.add('config', message, { changes: changes.slice(0, toldMax) });
  }
}

/** The differences of the files, and of the keys that they name. */
function changesOf(before: Loaded, next: Loaded): readonly ConfigChange[] {
  const changes = diffConfig(before.config, next.config);
  const keyFiles = [...next.hmacKeys].filter(([file, key]) => !isSameKey(before.hmacKeys.get(file) ?? key, key));
  return [
    ...changes,
    ...(areSameKeys(before.syncKeys, next.syncKeys) ? [] : [otherContent('sync.keyFile')]),
    ...keyFiles.flatMap(([file]) =>
      next.config.virtualRouters
        .filter(({ hmac }) => hmac?.keys.some(({ keyFile }) => keyFile === file))
        .map(({ name }) => otherContent(`virtualRouters.${name}.hmac.keys`)),
    ),
  ];
}

function otherContent(path: string): ConfigChange {
  return { path, kind: 'changed', before: 'the key that was read', after: 'another key in the same file' };
}

/** The order counts: the first is the one to use. */
function areSameKeys(before: SyncKeys | undefined, next: SyncKeys | undefined): boolean {
  if (before === undefined || next === undefined) return true;
  return before.length === next.length && before.every((key, index) => isSameKey(key, next[index] ?? key));
}

function isSameKey(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function summaryOf(lines: readonly string[]): string {
  const rest = lines.length - toldMax;
  return [...lines.slice(0, toldMax), ...(rest > 0 ? [`and ${rest} more`] : [])].join('; ');
}
