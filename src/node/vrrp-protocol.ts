/** What the node's main process and its vrrp process say to each other. Everything here survives a structured clone. */
import type { IpFamily, IpPrefix } from '../base/index.ts';
import type { LogFields } from '../runtime/index.ts';
import type { VirtualInterfaceSpec } from '../vip/index.ts';
import type { HmacAuthentication } from '../vrrp/io/index.ts';
import type { RouterState } from './status-document.ts';

export type RouterSpec = {
  readonly name: string;
  readonly version: 2 | 3;
  readonly vrid: number;
  readonly interface: string;
  readonly family: IpFamily;
  readonly addresses: readonly IpPrefix[];
  /** As configured; the health says what it is now. */
  readonly priority: number;
  readonly advertIntervalMs: number;
  readonly preempt: boolean;
  readonly preemptDelayMs: number;
  /** Where adverts leave from; undefined: the interface's link-local address, which the vrrp process finds. */
  readonly ownAddress: string | undefined;
  /** Undefined: multicast. */
  readonly unicastPeer: string | undefined;
  /** What the checksum of version 3 over IPv4 covers; `auto`: as the peer has it. */
  readonly checksum: 'auto' | 'pseudo-header' | 'message-only';
  /** Of version 2. */
  readonly simplePassword: string | undefined;
  readonly hmac: HmacSpec | undefined;
  /** The virtual routers with the same one are always on the same node. */
  readonly syncGroup: string | undefined;
  /** The addresses have the virtual router's MAC, on an interface of their own; otherwise that of `interface`. */
  readonly virtualMac: boolean;
  /** Gratuitous ARP again and again while active; 0: only after becoming active. */
  readonly announceRefreshMs: number;
  /** The highest mastership epoch known: a process that is started again must not claim an old one. */
  readonly epoch: number;
};

export type HmacSpec = {
  readonly keys: readonly { readonly id: number; readonly key: Uint8Array }[];
  /** The `id` of the one to send with. */
  readonly activeKey: number;
  readonly mode: HmacAuthentication['mode'];
};

/** A virtual router as the vrrp process is given it. */
export type ConfiguredRouter = RouterSpec & {
  readonly health: ReportedHealth;
  /** The peer is active: who starts now must know before it could take itself for the only one. */
  readonly fence: Fence | undefined;
};

/** What the trackers say of a virtual router. */
export type ReportedHealth = {
  /** 1..255. */
  readonly priority: number;
  /** A phrase each; with any it takes no part in the election. */
  readonly faults: readonly string[];
};
/** The router's own interface, in virtual MAC mode. */
export function virtualInterfaceSpec({ interface: parentName, family, vrid }: RouterSpec): VirtualInterfaceSpec {
  return { parentName, family, vrid };
}

export type Fence = { readonly epoch: number; readonly priority: number; readonly address: string };

export type VrrpCommand =
  | {
      readonly type: 'configure';
      readonly routers: readonly ConfiguredRouter[];
      readonly isPreemptPermitted: boolean;
    }
  /** The whole desired list: what is not in it ends, and what is as it was is not touched. Answered once. */
  | { readonly type: 'reconfigure'; readonly id: number; readonly routers: readonly ConfiguredRouter[] }
  | { readonly type: 'health'; readonly router: string; readonly health: ReportedHealth }
  /** The peer says that it is active: who has the higher epoch stays. */
  | { readonly type: 'fence'; readonly router: string; readonly fence: Fence }
  /** The peer cannot be heard over the sync link any more. */
  | { readonly type: 'fence-lifted'; readonly router: string }
  /** The peer, which was active, says that it is so no more: its link went down, or its vrrp process. */
  | { readonly type: 'peer-resigned'; readonly router: string; readonly address: string }
  /** The highest epoch that the peer knows, which is not active. */
  | { readonly type: 'peer-epoch'; readonly router: string; readonly epoch: number }
  /** The sync link ended with a reset or FIN: the peer's process is dead. Told instead of `fence-lifted`. */
  | { readonly type: 'peer-process-died'; readonly router: string; readonly address: string }
  /** The sync link is silent. */
  | { readonly type: 'peer-silent'; readonly router: string; readonly address: string }
  /** A node that has not all of its peer's state must not take over from it. */
  | { readonly type: 'preempt-permitted'; readonly isPermitted: boolean }
  /** Switchover, to the one that is active: yield as soon as the peer is heard to be active. */
  | { readonly type: 'hand-over'; readonly router: string; readonly graceMs: number }
  /** Switchover, to the one that shall be active: become it now. If it is so already: claim the epoch and announce. */
  | { readonly type: 'take-over'; readonly router: string; readonly epoch: number; readonly graceMs: number }
  /** Give the addresses up with a priority-0 advert and stand for election again. */
  | { readonly type: 'resign'; readonly router: string }
  | { readonly type: 'report-status'; readonly id: number }
  /** Release everything, say goodbye with priority 0, exit. */
  | { readonly type: 'stop' };

export type VrrpReport =
  | { readonly type: 'ready'; readonly fifoScheduling: string; readonly lockedMemory: string }
  /** An operator has to mend something; the process exits and is not started again. */
  | { readonly type: 'failed'; readonly code: string; readonly what: string; readonly mend: string }
  /** With a failure the routers are somewhere between what they were and what they should be. */
  | { readonly type: 'reconfigured'; readonly id: number; readonly failure: VrrpFailure | undefined }
  | {
      readonly type: 'transition';
      readonly router: string;
      readonly from: RouterState;
      readonly to: RouterState;
      readonly cause: string;
      /** The faults behind it. */
      readonly reasons: readonly string[];
      readonly epoch: number;
    }
  /** The link-local address that the router's adverts leave from is ready; before it joins the election. */
  | { readonly type: 'source-found'; readonly router: string; readonly address: string }
  /** Claimed by the active node; the transition to active has told it already, if there was one. */
  | { readonly type: 'epoch-claimed'; readonly router: string; readonly epoch: number }
  | { readonly type: 'address-event'; readonly router: string; readonly message: string; readonly fields: LogFields }
  | { readonly type: 'status'; readonly id: number; readonly routers: readonly RouterReport[] };

export type VrrpFailure = { readonly code: string; readonly what: string; readonly mend: string };

export type RouterReport = {
  readonly name: string;
  readonly state: RouterState;
  readonly stateForMs: number;
  readonly priority: number;
  readonly epoch: number;
  readonly activeAddress: string | undefined;
  readonly activePriority: number | undefined;
  readonly activeAdvertIntervalMs: number;
  readonly isFenced: boolean;
  readonly isPreemptPermitted: boolean;
  readonly peerChecksumForm: string | undefined;
  readonly lastDropReason: string | undefined;
  readonly lastSendError: string | undefined;
  readonly lastCause: string | undefined;
  readonly faults: readonly string[];
  readonly counters: Readonly<Record<string, number>>;
};
