/**
 * The network interfaces that virtual routers are on, watched once each, and the sockets of their adverts: shared, so
 * opened for the first router that needs them and closed behind the last.
 */
import type { IpPrefix } from '../../base/index.ts';
import type { Clock, Native } from '../../runtime/index.ts';
import { Addresses, Rtnetlink, addressLifetimeDefaultMs, removeVirtualInterface } from '../../vip/io/index.ts';
import { Ipv6Transport, RawTransport } from '../../vrrp/io/index.ts';
import type { Transport } from '../../vrrp/io/index.ts';
import { virtualInterfaceSpec } from '../vrrp-protocol.ts';
import type { RouterSpec } from '../vrrp-protocol.ts';
import { openVirtualInterface } from './virtual-interface.ts';
import type { Footing } from './virtual-interface.ts';

/** What a router hears of the interface that it is on. */
export type InterfaceListener = {
  onLink(isUp: boolean): void;
  /** Another one's address too. It is back already. */
  onAddressLost(vip: IpPrefix): void;
  onTrouble(message: string, error?: unknown): void;
};

export type WatchedInterface = {
  readonly addresses: Addresses;
  /** An interface without any is closed by `closeUnused`. */
  readonly listeners: Set<InterfaceListener>;
};

export type InterfacesPorts = { readonly native: Native; readonly clock: Clock };

export class Interfaces {
  readonly #ports: InterfacesPorts;
  readonly #open = new Map<string, WatchedInterface>();
  readonly #transports = new Map<string, Transport>();

  constructor(ports: InterfacesPorts) {
    this.#ports = ports;
  }

  /** Throws OperatorError as `Addresses.start`. */
  async open(interfaceName: string): Promise<WatchedInterface> {
    const open = this.#open.get(interfaceName);
    if (open !== undefined) return open;
    const listeners = new Set<InterfaceListener>();
    const addresses = this.#watch(interfaceName, listeners);
    await addresses.start();
    const opened = { addresses, listeners };
    this.#open.set(interfaceName, opened);
    return opened;
  }

  /**
   * Where this router's addresses live, and how its adverts leave; `onTrouble` hears of what is the router's alone.
   * Throws OperatorError as the transports' `start` and `openVirtualInterface`.
   */
  async openFooting(
    spec: RouterSpec,
    parent: WatchedInterface,
    onTrouble: InterfaceListener['onTrouble'],
  ): Promise<Footing> {
    const transport = await this.#openTransport(spec);
    const { native, clock } = this.#ports;
    if (!spec.virtualMac) {
      await removeVirtualInterface(virtualInterfaceSpec(spec), { native });
      return { addresses: parent.addresses, transport, stop: () => Promise.resolve() };
    }
    return openVirtualInterface(spec, {
      native,
      clock,
      parent: parent.addresses,
      transport,
      onAddressLost: (vip) => tellAll(parent.listeners, (listener) => listener.onAddressLost(vip)),
      onTrouble,
    });
  }

  /** What none of these routers, which are all that run, needs any more. */
  async closeUnused(running: readonly RouterSpec[]): Promise<void> {
    const needed = new Set(running.map(transportKey));
    for (const [key, transport] of this.#transports) {
      if (needed.has(key)) continue;
      this.#transports.delete(key);
      await transport.stop();
    }
    for (const [name, { addresses, listeners }] of this.#open) {
      if (listeners.size > 0) continue;
      this.#open.delete(name);
      await addresses.stop();
    }
  }

  /** Nobody is told of links and addresses any more. The sockets end with the process. */
  async stop(): Promise<void> {
    await Promise.all([...this.#open.values()].map(({ addresses }) => addresses.stop()));
  }

  #watch(interfaceName: string, listeners: ReadonlySet<InterfaceListener>): Addresses {
    const { native, clock } = this.#ports;
    return new Addresses(
      { interfaceName, addressLifetimeMs: addressLifetimeDefaultMs },
      {
        kernel: new Rtnetlink({ native }),
        clock,
        handlers: {
          onAddressLost: (vip) => tellAll(listeners, (listener) => listener.onAddressLost(vip)),
          onLinkChanged: ({ up }) => tellAll(listeners, (listener) => listener.onLink(up)),
          onLinkGone: () => {
            tellAll(listeners, (listener) => listener.onTrouble(`the interface ${interfaceName} is gone`));
            tellAll(listeners, (listener) => listener.onLink(false));
          },
          onRenewalFailed: (error) =>
            tellAll(listeners, (listener) => listener.onTrouble('held addresses could not be renewed', error)),
        },
      },
    );
  }

  async #openTransport(spec: RouterSpec): Promise<Transport> {
    const key = transportKey(spec);
    const open = this.#transports.get(key);
    if (open !== undefined) return open;
    const options = { interfaceName: spec.interface, isMulticast: spec.unicastPeer === undefined };
    const transport = spec.family === 6 ? new Ipv6Transport(options, this.#ports) : new RawTransport(options);
    await transport.start();
    this.#transports.set(key, transport);
    return transport;
  }
}

function tellAll(listeners: Iterable<InterfaceListener>, tell: (listener: InterfaceListener) => void): void {
  for (const listener of listeners) tell(listener);
}

function transportKey({ interface: interfaceName, unicastPeer, family }: RouterSpec): string {
  return `${interfaceName} ${unicastPeer === undefined} ${family}`;
}
