/** Tells other systems of changes of state by running commands. Nothing here delays an election or an address. */
import { formatPrefix } from '../../base/index.ts';
import type { IpPrefix } from '../../base/index.ts';
import type { HooksConfig } from '../../config/index.ts';
import { describeEnd, isSuccess, runCommand } from '../../runtime/index.ts';
import type { Clock, CommandResult, Logger, Service } from '../../runtime/index.ts';
import type { EventLog } from '../events.ts';
import type { HookStatus, RouterState } from '../status-document.ts';
import { emptyQueue, onChange, onEnd } from './hook-queue.ts';
import type { HookCall, HookQueue, HookStep } from './hook-queue.ts';

export type HookedRouter = {
  readonly name: string;
  readonly interface: string;
  readonly addresses: readonly IpPrefix[];
  readonly hooks: HooksConfig;
};

export type HooksPorts = { readonly clock: Clock; readonly logger: Logger; readonly events: EventLog };

export type Change = {
  readonly to: RouterState;
  readonly cause: string;
  readonly epoch: number;
};

type Hooked = {
  router: HookedRouter;
  state: RouterState;
  generation: number;
  queue: HookQueue;
  last: HookStatus | undefined;
};

export class Hooks implements Service {
  readonly name = 'hooks';
  readonly #node: string;
  readonly #ports: HooksPorts;
  readonly #hooked = new Map<string, Hooked>();
  readonly #runs = new Set<Promise<void>>();

  constructor(options: { node: string; routers: readonly HookedRouter[] }, ports: HooksPorts) {
    this.#node = options.node;
    this.#ports = ports;
    this.reconfigure(options.routers);
  }

  /** What runs or waits for a router that is gone still runs. */
  reconfigure(routers: readonly HookedRouter[]): void {
    for (const name of [...this.#hooked.keys()]) {
      if (!routers.some((router) => router.name === name)) this.#hooked.delete(name);
    }
    for (const router of routers) {
      const known = this.#hooked.get(router.name);
      if (known !== undefined) known.router = router;
      else
        this.#hooked.set(router.name, {
          ...{ router, state: 'initialize', generation: 0, queue: emptyQueue, last: undefined },
        });
    }
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  /** Lets run what runs and waits; no longer than two time-outs of each router. */
  async stop(): Promise<void> {
    while (this.#runs.size > 0) await Promise.all(this.#runs);
  }

  /** A virtual router has changed its state; what it is already is no change. */
  onChange(name: string, { to, cause, epoch }: Change): void {
    const hooked = this.#hooked.get(name);
    if (hooked === undefined || hooked.state === to) return;
    const from = hooked.state;
    hooked.state = to;
    const generation = ++hooked.generation;
    const command = commandFor(hooked.router.hooks, to);
    this.#follow(hooked, onChange(hooked.queue, { generation, from, to, cause, epoch, command }));
  }

  /** The hook that runs or ran last; undefined before the first. */
  status(name: string): HookStatus | undefined {
    return this.#hooked.get(name)?.last;
  }

  #follow(hooked: Hooked, { queue, start, skipped }: HookStep): void {
    hooked.queue = queue;
    if (skipped !== undefined) {
      const { generation, to } = skipped;
      this.#tell(hooked, skipped, `skipped (change ${generation}): the state is ${hooked.state} by now`, 'info');
      hooked.last ??= { state: to, generation, outcome: 'skipped' };
    }
    if (start === undefined) return;
    const run = this.#run(hooked, start).finally(() => this.#runs.delete(run));
    this.#runs.add(run);
  }

  async #run(hooked: Hooked, call: HookCall): Promise<void> {
    const { generation, to: state, command = [] } = call;
    hooked.last = { state, generation, outcome: 'running' };
    const { timeoutMs } = hooked.router.hooks;
    const env = this.#environment(hooked.router, call);
    const result = await runCommand(command, { timeoutMs, env }, this.#ports);
    hooked.last = { state, generation, outcome: describeEnd(result) };
    this.#tell(hooked, call, sentenceOf(result), isSuccess(result) ? 'info' : 'warn');
    this.#follow(hooked, onEnd(hooked.queue));
  }

  #environment({ name, interface: interfaceName, addresses }: HookedRouter, call: HookCall): Record<string, string> {
    return {
      TANDEM_NODE: this.#node,
      TANDEM_ROUTER: name,
      TANDEM_INTERFACE: interfaceName,
      TANDEM_ADDRESSES: addresses.map(formatPrefix).join(' '),
      TANDEM_STATE: call.to,
      TANDEM_PREVIOUS_STATE: call.from,
      TANDEM_CAUSE: call.cause,
      TANDEM_EPOCH: String(call.epoch),
      TANDEM_GENERATION: String(call.generation),
    };
  }

  #tell({ router }: Hooked, { to, generation }: HookCall, what: string, level: 'info' | 'warn'): void {
    const hook = hookNames[to];
    this.#ports.logger[level]({ router: router.name, hook, generation }, `hook ${what}`);
    this.#ports.events.add('hook', `${router.name}: ${hook} ${what}`, { router: router.name, hook, generation });
  }
}

const hookNames: Readonly<Record<RouterState, 'onActive' | 'onBackup' | 'onFault'>> = {
  active: 'onActive',
  backup: 'onBackup',
  initialize: 'onFault',
};

function commandFor(hooks: HooksConfig, state: RouterState): readonly string[] | undefined {
  return hooks[hookNames[state]];
}

function sentenceOf(result: CommandResult): string {
  if (isSuccess(result)) return `done in ${Math.round(result.durationMs)} ms`;
  return `failed: ${describeEnd(result)}${result.lastLine === '' ? '' : `: ${result.lastLine}`}`;
}
