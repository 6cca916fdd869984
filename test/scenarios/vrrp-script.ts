/**
 * Plays a script against the VRRP machine. A script is prose (lines that start with #) and blocks, separated by empty
 * lines: commands, a line of dashes, and what they print. Commands:
 *
 *   router priority=100 interval=1000 address=192.0.2.10 preempt=off delay=0 version=3 epoch=0
 *                                a new machine, at time 0
 *   TIME INPUT key=value …       deadlines up to TIME (ms) fire, then the input arrives; but if it is TIME already, the
 *                                input comes first
 *   run TIME                     deadlines up to TIME fire
 *   sleep TIME                   the process is frozen up to TIME: nothing fires
 */
import { assert, formatIp, parseIp } from '../../src/base/index.ts';
import type { RouterConfig, RouterEffect, RouterInput, RouterState, RouterStep } from '../../src/vrrp/index.ts';
import { initialState, nextDeadlineMs, step } from '../../src/vrrp/index.ts';

/** The script with the printed lines replaced by what the machine does now. */
export function playScript(script: string): string {
  const player = new Player();
  const blocks = script.trimEnd().split(/\n{2,}/);
  return `${blocks.map((block) => (isProse(block) ? block : playBlock(player, block))).join('\n\n')}\n`;
}

/** One line per effect, one if the input was ignored, and the state that came out. */
export function printStep({ state, effects, ignored }: RouterStep): string[] {
  return [
    ...effects.map(printEffect),
    ...(ignored === undefined ? [] : [`ignored: ${ignored}`]),
    `= ${printState(state)}`,
  ];
}

export function printEffect(effect: RouterEffect): string {
  switch (effect.type) {
    case 'transition':
      return `${effect.from} -> ${effect.to}: ${effect.cause}`;
    case 'claim-epoch':
      return `claim-epoch ${effect.epoch}`;
    case 'send-advert':
      return `send-advert ${effect.priority}`;
    case 'claim-addresses':
    case 'release-addresses':
    case 'announce':
    case 'silence':
      return effect.type;
  }
}

export function printState(state: RouterState): string {
  const common = [
    `priority ${state.priority}, epoch ${state.epoch}`,
    ...(state.isPreemptPermitted ? [] : ['may not preempt']),
  ].join(', ');
  switch (state.kind) {
    case 'initialize': {
      const reason = !state.isStarted ? 'stopped' : 'started';
      const faults = state.faults.map((fault) => `, fault ${fault}`).join('');
      return `initialize, ${common}, ${reason}, link ${state.isLinkUp ? 'up' : 'down'}${faults}`;
    }
    case 'backup': {
      const active =
        state.active === undefined ? 'unknown' : `${formatIp(state.active.address)}/${state.active.priority}`;
      const down = state.activeDownAtMs === undefined ? 'fenced' : `down at ${state.activeDownAtMs}`;
      const regular = state.regularDownAtMs === undefined ? '' : ` instead of ${state.regularDownAtMs}`;
      const look = state.wakeAtMs === undefined ? '' : `, look at ${state.wakeAtMs}`;
      const overslept = state.hasOverslept ? ', overslept' : '';
      const yielded = state.hasYielded ? ', yielded' : '';
      const preempting = state.preemptAtMs === undefined ? '' : `, preempting from ${state.preemptAtMs}`;
      const every = `every ${state.activeAdvertIntervalMs}`;
      const timer = `${down}${look}${regular}${overslept}`;
      return `backup, ${common}, active ${active} ${every}, ${timer}${yielded}${preempting}`;
    }
    case 'active': {
      const grace = state.grace === undefined ? '' : `, ${state.grace.kind} until ${state.grace.untilMs}`;
      const missed = state.missedAdverts === 0 ? '' : `, missed ${state.missedAdverts}`;
      const next =
        state.listensUntilMs === undefined
          ? `advert at ${state.nextAdvertAtMs}`
          : `listens until ${state.listensUntilMs}`;
      return `active, ${common}, ${next}${grace}${missed}`;
    }
  }
}

class Player {
  #config: RouterConfig | undefined;
  #state: RouterState | undefined;
  #nowMs = 0;

  play(line: string): string[] {
    const [first = '', second = '', ...rest] = line.split(/\s+/);
    if (first === 'router') return this.#make([second, ...rest].join(' '));
    if (first === 'run') return this.#runUntil(Number(second));
    if (first === 'sleep') {
      this.#nowMs = Number(second);
      return [];
    }
    const atMs = Number(first);
    assert(Number.isFinite(atMs), `a command is understood: ${line}`);
    const fired = atMs === this.#nowMs ? [] : this.#runUntil(atMs);
    return [...fired, ...this.#input(parseInput(second, fieldsOf(rest.join(' '))))];
  }

  #make(text: string): string[] {
    const fields = fieldsOf(text);
    this.#config = {
      priority: fields.number('priority', 100),
      version: fields.number('version', 3) === 2 ? 2 : 3,
      advertIntervalMs: fields.number('interval', 1000),
      preempt: fields.text('preempt', 'off') === 'on',
      preemptDelayMs: fields.number('delay', 0),
      ownAddress: fields.address('address', '192.0.2.10'),
    };
    this.#state = initialState(this.#config, fields.number('epoch', 0));
    this.#nowMs = 0;
    return [`= ${printState(this.#state)}`];
  }

  #runUntil(untilMs: number): string[] {
    assert(untilMs >= this.#nowMs, `time goes on: ${untilMs}`);
    const lines: string[] = [];
    for (;;) {
      const deadlineMs = this.#state === undefined ? undefined : nextDeadlineMs(this.#state);
      if (deadlineMs === undefined || deadlineMs > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, deadlineMs);
      lines.push(...this.#input({ type: 'timeout' }));
    }
    this.#nowMs = untilMs;
    return lines;
  }

  #input(input: RouterInput): string[] {
    assert(this.#config !== undefined && this.#state !== undefined, 'a script starts with: router');
    const result = step(this.#config, this.#state, input, this.#nowMs);
    this.#state = result.state;
    return [`@${this.#nowMs} ${input.type}`, ...printStep(result).map((line) => `  ${line}`)];
  }
}

function isProse(block: string): boolean {
  return block.split('\n').every((line) => line.startsWith('#'));
}

function playBlock(player: Player, block: string): string {
  const [commands = ''] = block.split('\n----');
  const printed = commands.split('\n').flatMap((line) => (line.startsWith('#') ? [] : player.play(line)));
  return [commands, '----', ...printed].join('\n');
}

type Fields = {
  number(name: string, otherwise?: number): number;
  text(name: string, otherwise?: string): string;
  address(name: string, otherwise?: string): Uint8Array;
};

function fieldsOf(text: string): Fields {
  const values = new Map(
    text
      .split(/\s+/)
      .filter((field) => field !== '')
      .map((field): [string, string] => {
        const [name = '', value = ''] = field.split('=');
        return [name, value];
      }),
  );
  const read = (name: string, otherwise: string | undefined): string => {
    const value = values.get(name) ?? otherwise;
    assert(value !== undefined, `${name}= is given: ${text}`);
    return value;
  };
  return {
    number: (name, otherwise) => Number(read(name, otherwise?.toString())),
    text: read,
    address: (name, otherwise) => {
      const bytes = parseIp(read(name, otherwise));
      assert(bytes !== undefined, `${name}= is an address: ${text}`);
      return bytes;
    },
  };
}

function parseInput(type: string, fields: Fields): RouterInput {
  switch (type) {
    case 'startup':
    case 'shutdown':
    case 'timeout':
    case 'link-down':
    case 'fence-lifted':
    case 'link-up':
    case 'advert-send-failed':
    case 'claim-failed':
    case 'resign':
    case 'advert-wanted':
      return { type };
    case 'advert':
      return {
        type,
        priority: fields.number('priority'),
        advertIntervalMs: fields.number('interval', 1000),
        source: fields.address('from', '192.0.2.20'),
      };
    case 'preempt-permitted':
      return { type, isPermitted: fields.text('permitted') === 'yes' };
    case 'fault':
    case 'fault-cleared':
      return { type, reason: fields.text('reason') };
    case 'peer-epoch':
      return { type, epoch: fields.number('epoch') };
    case 'peer-process-died':
    case 'peer-silent':
    case 'peer-resigned':
      return { type, address: fields.address('from', '192.0.2.20') };
    case 'priority-changed':
      return { type, priority: fields.number('priority') };
    case 'fence':
      return {
        type,
        epoch: fields.number('epoch'),
        priority: fields.number('priority', 100),
        address: fields.address('from', '192.0.2.20'),
      };
    case 'take-over':
      return { type, epoch: fields.number('epoch'), graceMs: fields.number('grace') };
    case 'hand-over':
      return { type, graceMs: fields.number('grace') };
    default:
      throw new Error(`no such input: ${type}`);
  }
}
