import { describeEnd, isSuccess, runCommand } from '../../runtime/index.ts';
import type { Clock, CommandResult } from '../../runtime/index.ts';
import { count, untold } from '../../vrrp/index.ts';
import type { RiseFall, Tally } from '../../vrrp/index.ts';
import type { Observe, Source } from './observation.ts';

export type ScriptOptions = RiseFall & {
  readonly command: readonly string[];
  readonly interMs: number;
  readonly timeoutMs: number;
};

/** Runs a command again and again, never twice at the same time; the next run waits for the one before. */
export class ScriptSource implements Source {
  readonly #options: ScriptOptions;
  readonly #clock: Clock;
  readonly #observe: Observe;
  readonly #stopping = new AbortController();
  #tally: Tally = untold;
  #running: Promise<void> | undefined;

  constructor(options: ScriptOptions, dependencies: { clock: Clock; observe: Observe }) {
    this.#options = options;
    this.#clock = dependencies.clock;
    this.#observe = dependencies.observe;
  }

  /** Does not wait for the first run: a slow script keeps its own virtual routers waiting, not the node. */
  start(): Promise<void> {
    this.#running = this.#run();
    return Promise.resolve();
  }

  /** Kills a run that is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { command, interMs, timeoutMs } = this.#options;
    while (!this.#isStopping()) {
      const startedMs = this.#clock.nowMs();
      const result = await runCommand(command, { timeoutMs, signal }, { clock: this.#clock });
      if (this.#isStopping()) return;
      this.#tally = count(this.#tally, isSuccess(result), this.#options);
      this.#observe({ verdict: this.#tally.verdict, detail: detailOf(result) });
      await this.#clock.sleep(startedMs + interMs - this.#clock.nowMs(), signal);
    }
  }
}

function detailOf(result: CommandResult): string {
  if (isSuccess(result)) return 'succeeded';
  return `failed: ${describeEnd(result)}${result.lastLine === '' ? '' : `: ${result.lastLine}`}`;
}
