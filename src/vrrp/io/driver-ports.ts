/** What a virtual router is made of, what it needs from the world, and what it tells about itself. */
import type { Clock } from '../../runtime/index.ts';
import type { ChecksumForm, DropReason, RouterConfig, RouterInput, StateKind, TransitionCause } from '../index.ts';
import type { RouterAuthentication } from './advert-keys.ts';
import type { RouterCounters } from './router-counters.ts';
import type { SendFailure, Transport } from './transport.ts';

/** `ownAddress` may be unspecified (::) until the router joins the election. */
export type VirtualRouterOptions = RouterConfig & {
  readonly name: string;
  readonly vrid: number;
  /** The virtual addresses, 1..255, all of the family of `ownAddress`. IPv6: one of them link-local. */
  readonly addresses: readonly Uint8Array[];
  /** Undefined: multicast. */
  readonly unicastPeer: Uint8Array | undefined;
  /** What the checksums of our adverts cover; `auto`: as in the last advert received, before that the pseudo-header. */
  readonly checksumForm: ChecksumForm | 'auto';
  readonly authentication: RouterAuthentication | undefined;
  /** The highest mastership epoch known from an earlier life. */
  readonly epoch: number;
};

export type VirtualRouterPorts = {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly addresses: AddressPort;
  /** The down timer is about to run out; a moment to get ready, which may take half of `downSoonMs`. */
  readonly onDownSoon?: () => void;
  readonly onTransition: (transition: Transition) => void;
  /** A new epoch was claimed: the peer has to hear of it. */
  readonly onEpoch: (epoch: number) => void;
  readonly onAddressError: (operation: 'claim' | 'release', error: unknown) => void;
};

/** Both may be called again when it is done already. They end by themselves: nothing else is done meanwhile. */
export type AddressPort = {
  /** When it is rejected the router gives up being active. */
  claim(): Promise<void> | undefined;
  release(): Promise<void> | undefined;
  /** Starts announcing and returns; a release ends it. */
  announce(): void;
  /** Ends announcing at once. */
  silence(): void;
};

export type Transition = {
  readonly from: StateKind;
  readonly to: StateKind;
  readonly cause: TransitionCause;
  readonly epoch: number;
};

/** What the node may tell the router; the rest it finds out by itself. */
export type RouterCommand = Exclude<
  RouterInput,
  {
    readonly type:
      'startup' | 'shutdown' | 'timeout' | 'advert' | 'advert-wanted' | 'advert-send-failed' | 'claim-failed';
  }
>;

export type RouterStatus = {
  readonly name: string;
  readonly vrid: number;
  readonly state: StateKind;
  readonly priority: number;
  /** Ours, when this router is active. */
  readonly activeAddress: string | undefined;
  readonly activePriority: number | undefined;
  readonly advertIntervalMs: number;
  readonly activeAdvertIntervalMs: number;
  readonly epoch: number;
  /** Backup because the sync link says that the peer is active, although no advert is heard. */
  readonly isFenced: boolean;
  /** Whether it would preempt now if its configuration lets it. */
  readonly isPreemptPermitted: boolean;
  /** The faults for which this router takes no part. */
  readonly faults: readonly string[];
  readonly stateForMs: number;
  readonly lastCause: TransitionCause | undefined;
  readonly lastDropReason: DropReason | undefined;
  readonly lastSendError: SendFailure | undefined;
  /** As the last accepted advert had it. */
  readonly peerChecksumForm: ChecksumForm | undefined;
  readonly counters: RouterCounters;
};
