/**
 * Two virtual routers, each a real machine, on a simulated LAN and a simulated sync link, in virtual time. Everything
 * random comes from the seed. The world knows no rules of VRRP; `vrrp-invariants.ts` does.
 */
import { formatIp } from '../../src/base/index.ts';
import { seededRandom } from '../../src/runtime/index.ts';
import type { Random } from '../../src/runtime/index.ts';
import type { RouterConfig, RouterEffect, RouterInput, RouterState, TransitionCause } from '../../src/vrrp/index.ts';
import { initialState, nextDeadlineMs, step } from '../../src/vrrp/index.ts';

export type NodeName = 'a' | 'b';
export const nodeNames: readonly NodeName[] = ['a', 'b'];
export const otherOf = (name: NodeName): NodeName => (name === 'a' ? 'b' : 'a');

export const lanDelayMaxMs = 0.4;
export const lanJitterMaxMs = 8;
export const syncDelayMaxMs = 1;
/** After this a silent peer counts as gone on the sync link. */
export const syncTimeoutMs = 200;
/** Until a new session has carried everything that the other node knows. */
export const syncSnapshotMaxMs = 50;

export type Node = {
  readonly name: NodeName;
  readonly config: RouterConfig;
  state: RouterState;
  isAlive: boolean;
  isPaused: boolean;
  isLinkUp: boolean;
  /** Its clock is monotonic but not that of the world: it jumps forward when a virtual machine is moved. */
  clockAheadMs: number;
  /** When it last went on after a pause or a jump of its clock, on its own clock. */
  wokeAtMs: number;
  failsSends: boolean;
  failsClaims: boolean;
  /** What arrived while it was paused. */
  inbox: (() => void)[];
  /** What the peer last said over the sync link of this session. */
  peerRole: Role | undefined;
};

type Role = { readonly kind: RouterState['kind']; readonly epoch: number; readonly priority: number };

type Event = { readonly atMs: number; readonly order: number; readonly run: () => void };

export type WorldHooks = {
  /** Before anything happens at a time, and after each thing that did. */
  readonly observe: () => void;
  readonly onTransition: (node: Node, cause: TransitionCause) => void;
  /** It sends an advert, whatever becomes of it. */
  readonly onAdvert: (node: Node) => void;
  /** Anything that is not the machines' doing: a fault, its mending, a command, a sync link that comes or goes. */
  readonly onChange: () => void;
};

export const noHooks: WorldHooks = {
  observe: () => undefined,
  onTransition: () => undefined,
  onAdvert: () => undefined,
  onChange: () => undefined,
};

export class World {
  readonly random: Random;
  readonly nodes: Readonly<Record<NodeName, Node>>;
  readonly trace: string[] = [];
  nowMs = 0;
  loss = 0;
  hasJitter = false;
  /** Adverts overtake each other, by up to two and a half intervals. */
  isReordering = false;
  jumpedAtMs = 0;
  /** When the last of the adverts arrives that are underway for longer than usual. */
  slowestAtMs = 0;
  readonly isCutFrom: Record<NodeName, boolean> = { a: false, b: false };
  isSyncCut = false;
  /** Undefined while there is no session. */
  syncSession: number | undefined;
  #syncSessions = 0;
  #syncBusyUntilMs: Record<NodeName, number> = { a: 0, b: 0 };
  #events: Event[] = [];
  #order = 0;
  readonly #step: typeof step;
  #hooks: WorldHooks = noHooks;

  constructor(seed: number, configs: (random: Random) => Record<NodeName, RouterConfig>, machine: typeof step = step) {
    this.random = seededRandom(seed);
    this.#step = machine;
    const { a, b } = configs(this.random);
    this.nodes = { a: newNode('a', a), b: newNode('b', b) };
  }

  start(hooks: WorldHooks): void {
    this.#hooks = hooks;
    for (const name of nodeNames) this.#startUp(this.nodes[name]);
    this.connectSync();
  }

  between(min: number, max: number): number {
    return min + this.random.next() * (max - min);
  }

  chance(probability: number): boolean {
    return this.random.next() < probability;
  }

  runUntil(untilMs: number): void {
    for (;;) {
      const next = this.#nextEvent(untilMs);
      if (next === undefined) break;
      this.#goTo(next.atMs);
      next.run();
      this.#hooks.observe();
    }
    this.#goTo(untilMs);
  }

  /** A fault or its mending. */
  change(what: string, apply: () => void): void {
    this.note(`-- ${what}`);
    this.#hooks.onChange();
    apply();
    this.#hooks.observe();
  }

  /** Hands an input to a node when it can take it: at once, or after its pause. */
  input(node: Node, input: RouterInput): void {
    if (!node.isAlive) return;
    if (node.isPaused) node.inbox.push(() => this.#perform(node, input));
    else this.#perform(node, input);
  }

  pause(node: Node): void {
    node.isPaused = true;
    const session = this.syncSession;
    const isUnbroken = (): boolean => node.isPaused && this.syncSession === session;
    this.#after(node.config.advertIntervalMs, () => {
      if (isUnbroken()) this.#missPeer(this.nodes[otherOf(node.name)]);
    });
    this.#after(syncTimeoutMs, () => {
      if (isUnbroken()) this.disconnectSync();
    });
  }

  /** A main process that comes late with its heartbeats, while everything else goes on. */
  hushSync(): void {
    const session = this.syncSession;
    for (const name of nodeNames) this.#missPeer(this.nodes[name]);
    this.#after(this.between(1, 100), () => {
      if (this.syncSession === session) for (const name of nodeNames) this.#hearPeer(this.nodes[name]);
    });
  }

  /** As the driver does it: a backup reads what has arrived first; an active router may see its timer first. */
  resume(node: Node): void {
    node.isPaused = false;
    node.wokeAtMs = this.nowMs + node.clockAheadMs;
    if (node.state.kind === 'active' && this.chance(0.5)) this.#perform(node, { type: 'timeout' });
    for (const read of node.inbox.splice(0)) read();
    this.#hearPeer(this.nodes[otherOf(node.name)]);
    this.#after(syncDelayMaxMs, () => this.connectSync());
  }

  kill(node: Node): void {
    node.isAlive = false;
    node.isPaused = false;
    node.inbox = [];
    node.state = initialState(node.config);
    this.disconnectSync('died');
  }

  /** A power cut: nothing says that it has died. */
  cutOff(node: Node): void {
    node.isAlive = false;
    node.isPaused = false;
    node.inbox = [];
    node.state = initialState(node.config);
    const session = this.syncSession;
    const other = this.nodes[otherOf(node.name)];
    this.#after(node.config.advertIntervalMs, () => {
      if (this.syncSession === session) this.#missPeer(other);
    });
    this.#after(syncTimeoutMs, () => {
      if (this.syncSession === session) this.disconnectSync();
    });
  }

  revive(node: Node): void {
    this.disconnectSync();
    node.isAlive = true;
    node.state = initialState(node.config);
    this.#startUp(node);
    this.#after(syncDelayMaxMs, () => this.connectSync());
  }

  /** A middlebox, or the peer's main process alone: who is connected cannot tell from a dead peer. */
  resetSync(): void {
    this.disconnectSync('died');
    this.#after(this.between(1, 300), () => this.connectSync());
  }

  jumpClock(node: Node, byMs: number): void {
    node.clockAheadMs += byMs;
    node.wokeAtMs = this.nowMs + node.clockAheadMs;
    this.jumpedAtMs = this.nowMs;
  }

  cutSync(): void {
    this.isSyncCut = true;
    this.disconnectSync();
  }

  mendSync(): void {
    this.isSyncCut = false;
    this.connectSync();
  }

  connectSync(): void {
    const canTalk = nodeNames.every((name) => this.nodes[name].isAlive && !this.nodes[name].isPaused);
    if (this.isSyncCut || !canTalk || this.syncSession !== undefined) return;
    this.syncSession = ++this.#syncSessions;
    this.note('-- sync connected');
    this.#hooks.onChange();
    for (const name of nodeNames) {
      this.sendRole(this.nodes[name]);
      this.#permitPreempt(this.nodes[name], this.syncSession);
    }
  }

  disconnectSync(how: 'lost' | 'died' = 'lost'): void {
    if (this.syncSession === undefined) return;
    this.syncSession = undefined;
    this.note('-- sync lost');
    this.#hooks.onChange();
    for (const name of nodeNames) {
      const node = this.nodes[name];
      if (node.peerRole === undefined) continue;
      if (how === 'lost') this.#missPeer(node);
      node.peerRole = undefined;
      const address = this.nodes[otherOf(name)].config.ownAddress;
      if (how === 'died') this.input(node, { type: 'peer-process-died', address });
      else this.input(node, { type: 'fence-lifted' });
    }
  }

  /** In order and without loss, as TCP has it, while the session lasts. */
  sendRole(node: Node): void {
    const session = this.syncSession;
    if (session === undefined) return;
    const { kind, epoch, priority } = node.state;
    const role: Role = { kind, epoch, priority };
    const target = this.nodes[otherOf(node.name)];
    const arrivesAtMs = Math.max(this.#syncBusyUntilMs[node.name], this.nowMs + this.between(0.1, syncDelayMaxMs));
    this.#syncBusyUntilMs[node.name] = arrivesAtMs;
    this.#after(arrivesAtMs - this.nowMs, () => {
      if (this.syncSession === session && target.isAlive) this.#receiveRole(target, role);
    });
  }

  note(line: string): void {
    this.trace.push(`${this.nowMs.toFixed(3)} ${line}`);
  }

  #receiveRole(node: Node, role: Role): void {
    const before = node.peerRole;
    node.peerRole = role;
    const { epoch, priority } = role;
    const address = this.nodes[otherOf(node.name)].config.ownAddress;
    if (role.kind === 'active') this.input(node, { type: 'fence', epoch, priority, address });
    else if (before?.kind === 'active') this.input(node, { type: 'peer-resigned', address });
    if (role.kind !== 'active') this.input(node, { type: 'peer-epoch', epoch });
  }

  /** Who stands still does not miss anybody. */
  #missPeer(node: Node): void {
    if (node.peerRole?.kind !== 'active' || node.isPaused) return;
    this.input(node, { type: 'peer-silent', address: this.nodes[otherOf(node.name)].config.ownAddress });
  }

  #hearPeer(node: Node): void {
    if (this.syncSession !== undefined && node.peerRole?.kind === 'active') this.#receiveRole(node, node.peerRole);
  }

  /** A node that starts has to catch up before it may preempt. */
  #startUp(node: Node): void {
    this.input(node, { type: 'preempt-permitted', isPermitted: false });
    this.input(node, { type: 'startup' });
  }

  #permitPreempt(node: Node, session: number): void {
    this.#after(this.between(1, syncSnapshotMaxMs), () => {
      if (this.syncSession !== session) return;
      this.#hooks.onChange();
      this.input(node, { type: 'preempt-permitted', isPermitted: true });
    });
  }

  #perform(node: Node, input: RouterInput): void {
    const { state, effects } = this.#step(node.config, node.state, input, this.nowMs + node.clockAheadMs);
    node.state = state;
    for (const effect of effects) this.#performEffect(node, effect);
  }

  #performEffect(node: Node, effect: RouterEffect): void {
    switch (effect.type) {
      case 'transition':
        this.note(`${node.name} ${effect.from} -> ${effect.to}: ${effect.cause}`);
        this.#hooks.onTransition(node, effect.cause);
        this.sendRole(node);
        return;
      case 'claim-epoch':
        this.note(`${node.name} claims epoch ${effect.epoch}`);
        this.sendRole(node);
        return;
      case 'claim-addresses':
        if (node.failsClaims) this.#after(0, () => this.input(node, { type: 'claim-failed' }));
        return;
      case 'send-advert':
        this.#sendAdvert(node, effect.priority);
        return;
      case 'release-addresses':
      case 'announce':
      case 'silence':
        return;
    }
  }

  #sendAdvert(node: Node, priority: number): void {
    this.note(`${node.name} advert ${priority} from ${formatIp(node.config.ownAddress)}`);
    this.#hooks.onAdvert(node);
    if (node.failsSends) {
      if (priority !== 0) this.#after(0, () => this.input(node, { type: 'advert-send-failed' }));
      return;
    }
    const target = this.nodes[otherOf(node.name)];
    const isLost = !node.isLinkUp || this.isCutFrom[node.name] || this.chance(this.loss);
    const { advertIntervalMs, ownAddress: source } = node.config;
    const jitterMaxMs = this.hasJitter ? lanJitterMaxMs : lanDelayMaxMs;
    const delayMs = this.between(0.05, this.isReordering ? 2.5 * advertIntervalMs : jitterMaxMs);
    if (isLost) return;
    if (delayMs > lanDelayMaxMs) this.slowestAtMs = Math.max(this.slowestAtMs, this.nowMs + delayMs);
    this.#after(delayMs, () => {
      if (target.isLinkUp) this.input(target, { type: 'advert', priority, advertIntervalMs, source });
    });
  }

  #after(delayMs: number, run: () => void): void {
    this.#events.push({ atMs: this.nowMs + delayMs, order: this.#order++, run });
  }

  /** Takes the earliest event out; deadlines of the machines are events too. */
  #nextEvent(untilMs: number): Pick<Event, 'atMs' | 'run'> | undefined {
    const queued = this.#events.reduce<Event | undefined>(
      (first, event) => (first !== undefined && isBefore(first, event) ? first : event),
      undefined,
    );
    const deadline = this.#nextDeadline();
    const next = deadline !== undefined && (queued === undefined || deadline.atMs < queued.atMs) ? deadline : queued;
    if (next === undefined || next.atMs > untilMs) return undefined;
    if (next === queued) this.#events = this.#events.filter((event) => event !== queued);
    return next;
  }

  #nextDeadline(): Pick<Event, 'atMs' | 'run'> | undefined {
    const deadlines = nodeNames.flatMap((name) => {
      const node = this.nodes[name];
      const atMs = node.isAlive && !node.isPaused ? nextDeadlineMs(node.state) : undefined;
      const run = (): void => this.#perform(node, { type: 'timeout' });
      return atMs === undefined ? [] : [{ atMs: Math.max(atMs - node.clockAheadMs, this.nowMs), run }];
    });
    return deadlines.toSorted((one, two) => one.atMs - two.atMs)[0];
  }

  #goTo(atMs: number): void {
    this.nowMs = atMs;
    this.#hooks.observe();
  }
}

function newNode(name: NodeName, config: RouterConfig): Node {
  return {
    name,
    config,
    state: initialState(config),
    isAlive: true,
    isPaused: false,
    isLinkUp: true,
    clockAheadMs: 0,
    wokeAtMs: 0,
    failsSends: false,
    failsClaims: false,
    inbox: [],
    peerRole: undefined,
  };
}

function isBefore(one: Event, two: Event): boolean {
  return one.atMs < two.atMs || (one.atMs === two.atMs && one.order < two.order);
}
