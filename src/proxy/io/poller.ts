import { errnoName, epoll } from '../../runtime/index.ts';
import type { Native, PollerHandle } from '../../runtime/index.ts';

/** What a poller tells about a descriptor: `events` as in `epoll`. */
export type PollerTarget = {
  onReady(events: number): void;
};

/** EPOLLPRI: TCP's urgent mark, at which a read stops short although there is more behind it. */
export const epollUrgent = 0x002;

/** Everything that happens to a stream, each told once when it changes. */
export const streamEvents = epoll.in | epoll.out | epoll.readHangUp | epollUrgent | epoll.edgeTriggered;

const eventsPerTurn = 512;

/** One epoll instance and who is behind each of its descriptors. */
export class Poller {
  readonly #native: Native;
  readonly #ready = new Int32Array(2 * eventsPerTurn);
  readonly #targets: (PollerTarget | undefined)[] = [];
  readonly #freeIds: number[] = [];
  #releasedIds: number[] = [];
  #handle: PollerHandle | undefined;

  constructor(dependencies: { native: Native }) {
    this.#native = dependencies.native;
  }

  open(): void {
    const handle = this.#native.pollerOpen(this.#ready, (count) => this.#dispatch(count));
    if (typeof handle === 'number') throw new Error(`epoll_create1: ${errnoName(handle)}`);
    this.#handle = handle;
  }

  close(): void {
    if (this.#handle !== undefined) this.#native.pollerClose(this.#handle);
    this.#handle = undefined;
  }

  /** The descriptor's id here, or -errno. */
  add(fd: number, events: number, target: PollerTarget): number {
    if (this.#handle === undefined) throw new Error('the poller is not open');
    const id = this.#freeIds.pop() ?? this.#targets.length;
    this.#targets[id] = target;
    const result = this.#native.pollerAdd(this.#handle, fd, events, id);
    if (result >= 0) return id;
    this.release(id);
    return result;
  }

  modify(fd: number, events: number, id: number): void {
    if (this.#handle !== undefined) this.#native.pollerModify(this.#handle, fd, events, id);
  }

  /** Another target for a descriptor that goes on. */
  retarget(id: number, target: PollerTarget): void {
    this.#targets[id] = target;
  }

  /**
   * Forgets the id of a descriptor that the caller closes now, which also takes it out of the epoll instance. The id
   * is not used again before the turn is over: events of the closed descriptor may be in it already.
   */
  release(id: number): void {
    this.#targets[id] = undefined;
    this.#releasedIds.push(id);
  }

  #dispatch(count: number): void {
    const ready = this.#ready;
    const targets = this.#targets;
    for (let i = 0; i < 2 * count; i += 2) targets[ready[i] ?? -1]?.onReady(ready[i + 1] ?? 0);
    if (this.#releasedIds.length === 0) return;
    // One by one: as arguments of one call, so many as all connections have do not fit on the stack.
    for (const id of this.#releasedIds) this.#freeIds.push(id);
    this.#releasedIds = [];
  }
}
