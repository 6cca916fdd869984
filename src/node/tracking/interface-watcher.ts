import type { AddressKernel, Link } from '../../vip/io/index.ts';
import type { Observe, Source } from './observation.ts';

/** Watches all tracked interfaces through one pair of sockets. */
export class InterfaceWatcher implements Source {
  readonly #kernel: AddressKernel;
  readonly #observers = new Map<string, Observe>();
  /** The tracked ones that exist, by index: a removal names nothing else. */
  readonly #present = new Map<number, string>();
  #isStarted = false;

  constructor(dependencies: { kernel: AddressKernel }) {
    this.#kernel = dependencies.kernel;
  }

  /** Once for each interface; what is told at once begins with `start`. */
  watch(interfaceName: string, observe: Observe): void {
    this.#observers.set(interfaceName, observe);
  }

  unwatch(interfaceName: string): void {
    this.#observers.delete(interfaceName);
    for (const [index, name] of this.#present) if (name === interfaceName) this.#present.delete(index);
  }

  /** Tells of all that are watched; again when there are more. */
  async start(): Promise<void> {
    if (this.#isStarted) return this.#lookAtAll();
    this.#isStarted = true;
    this.#kernel.open({
      onLink: (link) => this.#onLink(link),
      onLinkRemoved: (index) => this.#onRemoved(index),
      onAddress: () => undefined,
      onAddressRemoved: () => undefined,
      // Events were lost: what matters is how things are now.
      onOverrun: () => void this.#lookAtAll().catch(() => undefined),
    });
    await this.#lookAtAll();
  }

  stop(): Promise<void> {
    if (this.#isStarted) this.#kernel.close();
    this.#isStarted = false;
    return Promise.resolve();
  }

  async #lookAtAll(): Promise<void> {
    const links = await this.#kernel.links();
    for (const link of links) this.#onLink(link);
    for (const [name, observe] of this.#observers) {
      if (!links.some((link) => link.name === name)) observe({ verdict: 'down', detail: 'does not exist' });
    }
  }

  #onLink(link: Link): void {
    const before = this.#present.get(link.index);
    if (before !== undefined && before !== link.name) this.#onRemoved(link.index);
    const observe = this.#observers.get(link.name);
    if (observe === undefined) return;
    this.#present.set(link.index, link.name);
    observe(link.up ? { verdict: 'up', detail: 'is up' } : { verdict: 'down', detail: 'is down or has no carrier' });
  }

  #onRemoved(index: number): void {
    const name = this.#present.get(index);
    if (name === undefined) return;
    this.#present.delete(index);
    this.#observers.get(name)?.({ verdict: 'down', detail: 'does not exist' });
  }
}
