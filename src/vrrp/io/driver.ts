/**
 * Drives one virtual router: packets, time and commands go into the machine, its effects out into the world.
 *
 *   AdvertExchange ------------------- advert ---+
 *   clock ----deadline--> drain ------timeout----+--> step --+--> transition, claim-epoch   told at once
 *   node ---------------------------- commands --+           +--> address and advert work   one after the other
 *
 * The state is always ahead of the world: the machine answers an input at once, while claiming addresses may take its
 * time. So the work waits in a queue, of which a step out of the active state takes away what has not begun.
 */
import { assert, formatIp } from '../../base/index.ts';
import type { Timer } from '../../runtime/index.ts';
import type { AcceptedAdvert, RouterEffect, RouterInput, RouterState, StateKind, TransitionCause } from '../index.ts';
import { initialState, nextDeadlineMs, step } from '../index.ts';
import { AdvertExchange } from './advert-exchange.ts';
import type { RouterCommand, RouterStatus, VirtualRouterOptions, VirtualRouterPorts } from './driver-ports.ts';
import type { MutableCounters } from './router-counters.ts';
import { zeroCounters } from './router-counters.ts';
import type { Work } from './work-queue.ts';
import { WorkQueue } from './work-queue.ts';

/**
 * How many turns of the event loop the down timer waits for adverts that the kernel has received already; the socket
 * hands out one per turn. Enough for what other virtual routers send in a stall, too few to be kept back by a flood.
 */
const drainTurnsMax = 64;

/**
 * How long before the down timer runs out the ports are told. Only after two adverts were missed does it come to that:
 * an advert interval is 10 ms at least.
 */
const downSoonMs = 3;

export class VirtualRouter {
  readonly name: string;
  readonly #ports: VirtualRouterPorts;
  readonly #work: WorkQueue;
  readonly #counters: MutableCounters = zeroCounters();
  readonly #exchange: AdvertExchange;
  #options: VirtualRouterOptions;
  #state: RouterState;
  #sinceMs: number;
  #timer: Timer | undefined;
  #timerAtMs: number | undefined;
  #lastCause: TransitionCause | undefined;

  constructor(options: VirtualRouterOptions, ports: VirtualRouterPorts) {
    this.name = options.name;
    this.#options = options;
    this.#ports = ports;
    this.#work = new WorkQueue((work) => this.#perform(work));
    this.#exchange = new AdvertExchange(options, {
      ...ports,
      counters: this.#counters,
      onAdvert: (advert) => this.#onAdvert(advert),
      onQuestion: () => this.#step({ type: 'advert-wanted' }),
    });
    this.#state = initialState(options, options.epoch);
    this.#sinceMs = ports.clock.nowMs();
  }

  /** Joins the election. The transport has been started. */
  start(): Promise<void> {
    this.#exchange.start();
    this.#step({ type: 'startup' });
    return Promise.resolve();
  }

  /** Leaves the election. Resolves when the addresses are released and the others have been told. */
  async stop(): Promise<void> {
    this.#step({ type: 'shutdown' });
    this.#exchange.stop();
    await this.#work.idle();
  }

  handle(command: RouterCommand): void {
    this.#step(command);
  }

  /**
   * Goes on with other options, in the state in which it is: nothing is missed, nothing changes hands. Version, VRID,
   * own address, peer and the epoch stay, and a priority is changed by its command. New addresses are announced when
   * the router is active, and are to be there already.
   */
  reconfigure(options: VirtualRouterOptions): void {
    const { name, version, vrid, ownAddress, unicastPeer, epoch } = this.#options;
    this.#options = { ...options, name, version, vrid, ownAddress, unicastPeer, epoch };
    this.#exchange.reconfigure(this.#options);
    if (this.#state.kind !== 'active') return;
    this.#work.add({ type: 'announce' });
    this.#work.run();
  }

  /** Only while the router is out of the election: the others know an active one by its address. */
  setOwnAddress(ownAddress: Uint8Array): void {
    assert(this.#state.kind === 'initialize', 'an address is changed before the election');
    this.#options = { ...this.#options, ownAddress };
    this.#exchange.setOwnAddress(ownAddress);
  }

  status(): RouterStatus {
    const state = this.#state;
    const { name, vrid, advertIntervalMs } = this.#options;
    return {
      name,
      vrid,
      state: state.kind,
      priority: state.priority,
      ...this.#activeRouter(),
      advertIntervalMs,
      activeAdvertIntervalMs: state.kind === 'backup' ? state.activeAdvertIntervalMs : advertIntervalMs,
      epoch: state.epoch,
      isFenced: state.kind === 'backup' && state.activeDownAtMs === undefined,
      isPreemptPermitted: state.isPreemptPermitted,
      stateForMs: this.#ports.clock.nowMs() - this.#sinceMs,
      lastCause: this.#lastCause,
      faults: state.kind === 'initialize' ? state.faults : [],
      lastDropReason: this.#exchange.lastDropReason,
      lastSendError: this.#exchange.lastSendError,
      peerChecksumForm: this.#exchange.peerChecksumForm,
      counters: structuredClone(this.#counters),
    };
  }

  #activeRouter(): Pick<RouterStatus, 'activeAddress' | 'activePriority'> {
    const { ownAddress } = this.#options;
    const state = this.#state;
    const own = { address: ownAddress, priority: state.priority };
    const router = state.kind === 'active' ? own : state.kind === 'backup' ? state.active : undefined;
    return { activeAddress: router && formatIp(router.address), activePriority: router?.priority };
  }

  #onAdvert({ priority, advertIntervalMs, source }: AcceptedAdvert): void {
    this.#step({ type: 'advert', priority, advertIntervalMs, source });
  }

  #step(input: RouterInput): void {
    const { state, effects, ignored } = step(this.#options, this.#state, input, this.#ports.clock.nowMs());
    this.#state = state;
    if (ignored !== undefined) this.#counters.ignored[ignored]++;
    for (const effect of effects) this.#dispatch(effect);
    this.#work.run();
    this.#schedule();
  }

  /** What only tells does not wait behind addresses: a late epoch would mean two actives for longer. */
  #dispatch(effect: RouterEffect): void {
    switch (effect.type) {
      case 'transition':
        this.#onTransition(effect.from, effect.to, effect.cause);
        return;
      case 'claim-epoch':
        this.#ports.onEpoch(effect.epoch);
        return;
      case 'silence':
        this.#ports.addresses.silence();
        return;
      case 'claim-addresses':
      case 'release-addresses':
      case 'send-advert':
      case 'announce':
        this.#work.add(effect);
    }
  }

  #onTransition(from: StateKind, to: StateKind, cause: TransitionCause): void {
    this.#sinceMs = this.#ports.clock.nowMs();
    this.#lastCause = cause;
    if (to === 'active') this.#counters.becameActive++;
    if (from === 'active') this.#counters.releasedActive++;
    this.#ports.onTransition({ from, to, cause, epoch: this.#state.epoch });
  }

  #perform(work: Work): Promise<void> | undefined {
    switch (work.type) {
      case 'claim-addresses':
        return this.#ports.addresses.claim()?.catch((error: unknown) => {
          this.#onAddressError('claim', error);
          this.#step({ type: 'claim-failed' });
        });
      case 'release-addresses':
        return this.#ports.addresses.release()?.catch((error: unknown) => this.#onAddressError('release', error));
      case 'send-advert':
        this.#sendAdvert(work.priority);
        return undefined;
      case 'announce':
        this.#ports.addresses.announce();
        return undefined;
    }
  }

  #onAddressError(operation: 'claim' | 'release', error: unknown): void {
    this.#counters.addressErrors++;
    this.#ports.onAddressError(operation, error);
  }

  #sendAdvert(priority: number): void {
    const sent = this.#exchange.send(priority);
    if (!sent.ok && priority !== 0) this.#step({ type: 'advert-send-failed' });
  }

  #schedule(): void {
    const deadlineMs = nextDeadlineMs(this.#state);
    if (deadlineMs === this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = deadlineMs;
    if (deadlineMs === undefined) return;
    const waitMs = Math.max(0, deadlineMs - this.#ports.clock.nowMs());
    const isDownNext = this.#state.kind === 'backup' && this.#state.wakeAtMs === undefined;
    if (!isDownNext || waitMs <= downSoonMs) {
      this.#timer = this.#ports.clock.after(waitMs, () => this.#onTimer());
      return;
    }
    this.#timer = this.#ports.clock.after(waitMs - downSoonMs, () => {
      this.#ports.onDownSoon?.();
      this.#timerAtMs = undefined;
      this.#schedule();
    });
  }

  /** An event loop's idea of the time lags behind the clock by up to a millisecond: its timers may come early. */
  #onTimer(): void {
    if (this.#timerAtMs !== undefined && this.#ports.clock.nowMs() < this.#timerAtMs) {
      this.#timerAtMs = undefined;
      this.#schedule();
    } else if (this.#state.kind === 'backup') {
      // The turn that called may have read one packet before, and left others behind it: it says nothing.
      this.#timer = this.#ports.clock.afterPoll(() => this.#drain(drainTurnsMax));
    } else {
      this.#onDeadline();
    }
  }

  /**
   * Whether the active router is dead is decided only when nothing more comes in: after a stall of this process its
   * adverts are still in the socket. An advert that is followed moves the deadline, and so cancels this.
   */
  #drain(turns: number): void {
    const seen = this.#exchange.packetsSeen;
    this.#timer = this.#ports.clock.afterPoll(() => {
      if (this.#exchange.packetsSeen > seen && turns > 1) this.#drain(turns - 1);
      else this.#onDeadline();
    });
  }

  #onDeadline(): void {
    this.#timerAtMs = undefined;
    this.#step({ type: 'timeout' });
  }
}
