/**
 * Who is active, as both nodes know it: this node's virtual routers and what the peer says of its own over the sync
 * link. The LAN's adverts decide the election; this carries the mastership epoch, the second heartbeat, so that two
 * actives end within a round trip where the adverts do not pass.
 */
import type { Fence } from './vrrp-protocol.ts';
import type { RouterState } from './status-document.ts';

export type RouterRole = {
  readonly state: RouterState;
  readonly epoch: number;
  readonly priority: number;
  /** Where its adverts come from; :: until that is known. */
  readonly address: string;
};

export type MastershipEvents = {
  /** The peer is active in a virtual router. */
  readonly onFence: (router: string, fence: Fence) => void;
  /** The peer says that it is active no more. */
  readonly onPeerResigned: (router: string, address: string) => void;
  /** The peer is not to be heard. */
  readonly onFenceLifted: (router: string) => void;
  /** The peer's process is gone; in place of a lifted fence. */
  readonly onPeerDied: (router: string, address: string) => void;
  /** The sync link is silent, of which an advert, or the fence told again, is the end. */
  readonly onPeerSilent: (router: string, address: string) => void;
  /** The highest epoch that the peer, not active, knows: this node may have been overtaken without noticing. */
  readonly onPeerEpoch: (router: string, epoch: number) => void;
  readonly sendRoles: (roles: Readonly<Record<string, RouterRole>>) => void;
};

/** How the sync link was lost. `died`: the peer's kernel closed it, which it does when the peer's process is gone. */
export type PeerLoss = 'died' | 'silent' | 'unknown';

export class Mastership {
  readonly #events: MastershipEvents;
  readonly #own = new Map<string, RouterRole>();
  readonly #peer = new Map<string, RouterRole>();
  readonly #waiting = new Set<() => void>();

  constructor(routers: Readonly<Record<string, RouterRole>>, events: MastershipEvents) {
    this.#events = events;
    for (const [name, role] of Object.entries(routers)) this.#own.set(name, role);
  }

  own(router: string): RouterRole | undefined {
    return this.#own.get(router);
  }

  peer(router: string): RouterRole | undefined {
    return this.#peer.get(router);
  }

  /** The virtual routers that this node holds. */
  held(): readonly string[] {
    return [...this.#own].filter(([, role]) => role.state === 'active').map(([name]) => name);
  }

  heldByPeer(): readonly string[] {
    return this.#known()
      .filter(([, role]) => role.state === 'active')
      .map(([name]) => name);
  }

  peerStates(): Readonly<Record<string, RouterState>> {
    return Object.fromEntries(this.#known().map(([name, role]) => [name, role.state]));
  }

  /** Virtual routers that are new; those that are known stay as they are. */
  add(routers: Readonly<Record<string, RouterRole>>): void {
    for (const [name, role] of Object.entries(routers)) {
      if (!this.#own.has(name)) this.#own.set(name, role);
    }
  }

  /** Keeps only these: what is no longer configured is not spoken of. */
  retain(routers: readonly string[]): void {
    for (const name of [...this.#own.keys()]) if (!routers.includes(name)) this.#own.delete(name);
    this.announce();
    this.#wake();
  }

  /** The peer's fence for a virtual router, where it says that it is active. */
  fence(router: string): Fence | undefined {
    const role = this.#peer.get(router);
    return role?.state === 'active' ? role : undefined;
  }

  onOwnChange(router: string, state: RouterState, epoch: number): void {
    const role = this.#own.get(router);
    if (role === undefined) return;
    this.#own.set(router, { ...role, state, epoch });
    this.announce();
    this.#wake();
  }

  /** What this node is worth has changed, 1..255. */
  onOwnPriority(router: string, priority: number): void {
    const role = this.#own.get(router);
    if (role === undefined || role.priority === priority) return;
    this.#own.set(router, { ...role, priority });
    this.announce();
  }

  /** Where this node's adverts come from has been found out. */
  onOwnAddress(router: string, address: string): void {
    const role = this.#own.get(router);
    if (role === undefined || role.address === address) return;
    this.#own.set(router, { ...role, address });
    this.announce();
  }

  /** Tells the peer where this node stands; on every change and when the sync link comes up. */
  announce(): void {
    this.#events.sendRoles(Object.fromEntries(this.#own));
  }

  /**
   * Tells how things stand with the peer now. Who has just started a router has given it what was so then; what was
   * told while it was being made has been lost, the end of a fence as well.
   */
  tellStanding(): void {
    for (const router of this.#own.keys()) {
      const role = this.#peer.get(router);
      if (role?.state !== 'active') this.#events.onFenceLifted(router);
      if (role !== undefined) this.#tell(router, role);
    }
  }

  /** The peer's word. What is not of the right form is ignored: the answer says so. */
  onPeerRoles(body: unknown): boolean {
    const roles = readRoles(body);
    if (roles === undefined) return false;
    for (const [router, { state, address }] of this.#known()) {
      const isActive = roles.get(router)?.state === 'active';
      if (state === 'active' && !isActive) this.#events.onPeerResigned(router, address);
    }
    // Also what is not configured here (yet): the two nodes read a new file one after the other.
    this.#peer.clear();
    for (const [router, role] of roles) this.#peer.set(router, role);
    for (const [router, role] of this.#known()) this.#tell(router, role);
    this.#wake();
    return true;
  }

  /** Nothing has come over the sync link for an adverts' interval; or something has come again. */
  onPeerQuiet(isQuiet: boolean): void {
    for (const [router, role] of this.#known()) {
      if (role.state !== 'active') continue;
      if (isQuiet) this.#events.onPeerSilent(router, role.address);
      else this.#tell(router, role);
    }
  }

  onPeerLost(how: PeerLoss): void {
    const roles = this.#known();
    this.#peer.clear();
    for (const [router, { address }] of roles) {
      if (how === 'silent') this.#events.onPeerSilent(router, address);
      if (how === 'died') this.#events.onPeerDied(router, address);
      else this.#events.onFenceLifted(router);
    }
    this.#wake();
  }

  /** Resolves as soon as the condition holds; checked now and after every change of a role. */
  async until(condition: () => boolean, signal: AbortSignal): Promise<boolean> {
    while (!condition()) {
      if (signal.aborted) return false;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    }
    return true;
  }

  /** What the peer says of the virtual routers that are configured here. */
  #known(): readonly (readonly [router: string, role: RouterRole])[] {
    return [...this.#peer].filter(([router]) => this.#own.has(router));
  }

  #tell(router: string, role: RouterRole): void {
    if (role.state === 'active') this.#events.onFence(router, role);
    else this.#events.onPeerEpoch(router, role.epoch);
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

function readRoles(body: unknown): Map<string, RouterRole> | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const roles = new Map<string, RouterRole>();
  for (const [router, value] of Object.entries(body)) {
    const role = readRole(value);
    if (role === undefined) return undefined;
    roles.set(router, role);
  }
  return roles;
}

function readRole(value: unknown): RouterRole | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { state, epoch, priority, address } = value as Readonly<Record<string, unknown>>;
  if (state !== 'initialize' && state !== 'backup' && state !== 'active') return undefined;
  if (!isCount(epoch) || !isCount(priority) || typeof address !== 'string' || address.length > 45) return undefined;
  return { state, epoch, priority, address };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
