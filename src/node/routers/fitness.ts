/**
 * Whether the virtual routers may take part in their elections, in the vrrp process: an interface without a carrier
 * and what the main process says of their trackers keep them out, as does a fault of another member of their sync
 * group. Members of a group also follow each other here, next to the machines: no message to another process lies
 * between the first member that becomes active and the last.
 */
import type { Clock } from '../../runtime/index.ts';
import { followTransition, groupFaults, stragglers } from '../../vrrp/index.ts';
import type { GroupOrder, TransitionCause } from '../../vrrp/index.ts';
import type { RouterCommand, Transition } from '../../vrrp/io/index.ts';
import type { ReportedHealth } from '../vrrp-protocol.ts';

export type FitnessPorts = {
  readonly clock: Clock;
  /** Steps the machine; its transitions come back through `onTransition` before this returns. */
  readonly handle: (router: string, command: RouterCommand) => void;
  readonly report: (router: string, transition: ReportedTransition) => void;
};

export type ReportedTransition = Omit<Transition, 'cause'> & {
  /** A machine's cause, or `fault`, `fault-cleared` and `group`. */
  readonly cause: string;
  /** The faults behind it. */
  readonly reasons: readonly string[];
};

type FaultKind = 'link-down' | 'fault' | 'group';

type Member = {
  readonly name: string;
  group: string | undefined;
  isLinkUp: boolean;
  /** Whether its adverts have an address to leave from. */
  hasSource: boolean;
  health: ReportedHealth;
  state: Transition['to'];
  /** What keeps it out now; undefined: it takes part. */
  fault: FaultKind | undefined;
  lastCause: string | undefined;
  /** What is done to it now, for the cause of a transition that comes of it. */
  doing: 'following' | 'clearing' | undefined;
  /** Transitions on the way out of the election, to be told as one. */
  held: Transition[] | undefined;
};

/** How long the members of a group wait for the peer to take them as well; as in a switchover. */
const groupGraceMs = 1_000;

export class Fitness {
  readonly #ports: FitnessPorts;
  readonly #members = new Map<string, Member>();
  /** Told while the router was still being made. */
  readonly #earlyHealths = new Map<string, ReportedHealth>();
  #isEnding = false;

  constructor(ports: FitnessPorts) {
    this.#ports = ports;
  }

  /** A machine that has the priority of its health and has not been started yet. */
  add(name: string, group: string | undefined, isLinkUp: boolean, health: ReportedHealth): void {
    this.#members.set(name, {
      name,
      group,
      isLinkUp,
      hasSource: true,
      health,
      state: 'initialize',
      fault: undefined,
      lastCause: undefined,
      doing: undefined,
      held: undefined,
    });
    this.#change(name, () => undefined);
    const early = this.#earlyHealths.get(name);
    if (early !== undefined) this.onHealth(name, early);
  }

  /** Another group from now on, or none. Where the others are is followed with the next transition. */
  regroup(name: string, group: string | undefined): void {
    const member = this.#members.get(name);
    if (member === undefined || member.group === group) return;
    const left = this.#groupOf(member).filter((other) => other !== member);
    member.group = group;
    for (const other of [...left, ...this.#groupOf(member)]) this.#settle(other.name);
  }

  /** The machine is to be no more: its last transitions are told, but nobody follows them. */
  leave(name: string): void {
    this.regroup(name, undefined);
  }

  /** The machine has ended. */
  remove(name: string): void {
    this.#members.delete(name);
    this.#earlyHealths.delete(name);
  }

  onLink(name: string, isLinkUp: boolean): void {
    this.#change(name, (member) => {
      member.isLinkUp = isLinkUp;
    });
  }

  /** The IPv6 link-local address, which is not there by itself as an IPv4 one is. */
  onSource(name: string, hasSource: boolean): void {
    this.#change(name, (member) => {
      member.hasSource = hasSource;
    });
  }

  onHealth(name: string, health: ReportedHealth): void {
    const before = this.#members.get(name)?.health;
    if (before === undefined) {
      this.#earlyHealths.set(name, health);
      return;
    }
    if (health.priority !== before.priority)
      this.#ports.handle(name, { type: 'priority-changed', priority: health.priority });
    this.#change(name, (member) => {
      member.health = health;
    });
  }

  onTransition(name: string, transition: Transition): void {
    const member = this.#members.get(name);
    if (member === undefined) return;
    member.state = transition.to;
    if (member.held !== undefined) {
      member.held.push(transition);
      return;
    }
    this.#report(member, transition, causeOf(member, transition.cause));
    this.#follow(member, transition);
  }

  /** What keeps the router out of the election, a phrase each. */
  faults(name: string): readonly string[] {
    return this.#faultsOf(name).faults;
  }

  lastCause(name: string): string | undefined {
    return this.#members.get(name)?.lastCause;
  }

  /** All are being stopped: nobody follows anybody any more. */
  end(): void {
    this.#isEnding = true;
  }

  #change(name: string, change: (member: Member) => void): void {
    const member = this.#members.get(name);
    if (member === undefined) return;
    change(member);
    for (const other of this.#groupOf(member)) this.#settle(other.name);
  }

  /** Brings the machine out of the election or back, as its faults want it. */
  #settle(name: string): void {
    const member = this.#members.get(name);
    if (member === undefined) return;
    const { faults, isShared } = this.#faultsOf(name);
    if (faults.length === 0) this.#recover(member);
    else if (member.fault === undefined)
      this.#leave(member, isShared ? 'group' : member.isLinkUp ? 'fault' : 'link-down');
  }

  /**
   * The one place that says how a fault reaches a machine. Who can still send says goodbye, so that the peer need not
   * wait for the down timer; then the machine is out as without a link.
   */
  #leave(member: Member, fault: FaultKind): void {
    const { name } = member;
    member.fault = fault;
    member.held = [];
    if (fault !== 'link-down' && member.state === 'active') this.#ports.handle(name, { type: 'resign' });
    this.#ports.handle(name, { type: 'link-down' });
    const [first, last] = [member.held[0], member.held.at(-1)];
    member.held = undefined;
    if (first !== undefined && last !== undefined) this.#report(member, { ...last, from: first.from }, fault);
  }

  #recover(member: Member): void {
    if (member.fault === undefined) return;
    const wasLink = member.fault === 'link-down';
    member.fault = undefined;
    this.#doing(member, wasLink ? undefined : 'clearing', { type: 'link-up' });
  }

  #follow(member: Member, { to, cause }: Transition): void {
    if (this.#isEnding || member.group === undefined) return;
    const orders = followTransition(this.#groupOf(member), { router: member.name, to, cause });
    for (const order of orders) this.#obey(order);
    if (orders.some(({ order }) => order === 'hand-over')) {
      this.#ports.clock.after(groupGraceMs, () => this.#gather(member));
    }
  }

  #obey({ router, order }: GroupOrder): void {
    const member = this.#members.get(router);
    if (member !== undefined) this.#doing(member, 'following', commandFor(order));
  }

  /** The peer has not taken the whole group: it is offered the rest. */
  #gather(member: Member): void {
    if (this.#isEnding) return;
    for (const router of stragglers(this.#groupOf(member))) this.#obey({ router, order: 'resign' });
  }

  #doing(member: Member, doing: Member['doing'], command: RouterCommand): void {
    member.doing = doing;
    this.#ports.handle(member.name, command);
    // A hand-over is obeyed later, when the peer is heard; the cause is then the machine's own.
    member.doing = undefined;
  }

  #report(member: Member, transition: Transition, cause: string): void {
    member.lastCause = cause;
    const reasons = transition.to === 'initialize' ? this.faults(member.name) : [];
    this.#ports.report(member.name, { ...transition, cause, reasons });
  }

  #groupOf(member: Member): readonly Member[] {
    if (member.group === undefined) return [member];
    return [...this.#members.values()].filter(({ group }) => group === member.group);
  }

  #faultsOf(name: string): ReturnType<typeof groupFaults> {
    const member = this.#members.get(name);
    const group = member === undefined ? [] : this.#groupOf(member);
    return groupFaults(new Map(group.map((one) => [one.name, ownFaults(one)])), name);
  }
}

function ownFaults({ isLinkUp, hasSource, health }: Member): readonly string[] {
  return [
    ...(isLinkUp ? [] : ['its interface is down or has no carrier']),
    ...(isLinkUp && !hasSource ? ['its interface has no IPv6 link-local address that is ready for use'] : []),
    ...health.faults,
  ];
}

function causeOf({ doing }: Member, cause: TransitionCause): string {
  if (doing === 'following') return 'group';
  return doing === 'clearing' ? 'fault-cleared' : cause;
}

function commandFor(order: GroupOrder['order']): RouterCommand {
  switch (order) {
    case 'take-over':
      // The machine claims an epoch above all that it knows.
      return { type: 'take-over', epoch: 0, graceMs: groupGraceMs };
    case 'hand-over':
      return { type: 'hand-over', graceMs: groupGraceMs };
    case 'resign':
      return { type: 'resign' };
  }
}
