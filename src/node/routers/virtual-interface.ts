/** A virtual router in virtual MAC mode: its addresses on an interface of their own, its adverts from that MAC. */
import { fail, ok } from '../../base/index.ts';
import type { IpPrefix } from '../../base/index.ts';
import type { Clock, Native } from '../../runtime/index.ts';
import {
  Addresses,
  Rtnetlink,
  VirtualInterface,
  VirtualMacSender,
  addressLifetimeDefaultMs,
} from '../../vip/io/index.ts';
import type { Transport } from '../../vrrp/io/index.ts';
import { virtualInterfaceSpec } from '../vrrp-protocol.ts';
import type { RouterSpec } from '../vrrp-protocol.ts';

/** Where a router's addresses live, and how its adverts leave; `stop` ends what is this router's alone. */
export type Footing = {
  readonly addresses: Addresses;
  readonly transport: Transport;
  readonly stop: () => Promise<void>;
};

export type VirtualInterfacePorts = {
  readonly native: Native;
  readonly clock: Clock;
  /** The interface that carries the frames, watched already, and its transport. */
  readonly parent: Addresses;
  readonly transport: Transport;
  readonly onAddressLost: (vip: IpPrefix) => void;
  readonly onTrouble: (message: string, error?: unknown) => void;
};

/**
 * Adverts of others are received on the parent, as ever. To one peer alone they are sent as to any host, from the
 * parent's MAC. Throws OperatorError as `Addresses.start` and `VirtualMacSender.start`.
 */
export async function openVirtualInterface(spec: RouterSpec, ports: VirtualInterfacePorts): Promise<Footing> {
  const { parent, transport } = ports;
  const kernel = new Rtnetlink(ports);
  const virtualInterface = new VirtualInterface(virtualInterfaceSpec(spec), { kernel });
  const { name: interfaceName, macAddress } = virtualInterface;
  const handlers = {
    onAddressLost: ports.onAddressLost,
    // It goes up and down as the router becomes active and backup; its parent's link is what counts.
    onLinkChanged: () => undefined,
    onLinkGone: () => ports.onTrouble(`the interface ${interfaceName} is gone`),
    onRenewalFailed: (error: unknown) => ports.onTrouble('held addresses could not be renewed', error),
  };
  const addresses = new Addresses(
    { interfaceName, addressLifetimeMs: addressLifetimeDefaultMs },
    { kernel, clock: ports.clock, handlers, virtualInterface },
  );
  await addresses.start();
  if (spec.unicastPeer !== undefined) return { addresses, transport, stop: () => addresses.stop() };
  const sender = new VirtualMacSender({ macAddress }, { native: ports.native, parent: () => parent.link });
  await sender.start();
  const stop = async (): Promise<void> => {
    await sender.stop();
    await addresses.stop();
  };
  return { addresses, transport: sendingThrough(sender, transport), stop };
}

function sendingThrough(sender: VirtualMacSender, transport: Transport): Transport {
  return {
    start: () => transport.start(),
    stop: () => transport.stop(),
    subscribe: (listener) => transport.subscribe(listener),
    send(packet) {
      const refusal = sender.send(packet);
      return refusal === undefined ? ok(undefined) : fail(refusal);
    },
  };
}
