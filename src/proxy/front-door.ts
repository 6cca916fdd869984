/** What a service wants of its clients before one of its servers hears of them. */
import type { AdmissionRefusal, AdmissionSpec } from './admission/index.ts';
import type { ProxyHeaderFault } from './proxy-protocol/index.ts';
import type { HelloFault } from './tls/index.ts';

/**
 * Services with the same address and port share a listener: all but one have `tls`, and they agree in `backlog`,
 * `acceptProxy` and `helloTimeoutMs`, and in the services' `tcp`.
 */
export type FrontDoor = AdmissionSpec & {
  /** Clients that the kernel keeps for a listener until they are accepted. */
  readonly backlog: number;
  /** Who has to begin a connection with a PROXY protocol header, as prefixes. Others may not. */
  readonly acceptProxy: { readonly from: readonly string[]; readonly timeoutMs: number } | undefined;
  /** For which TLS clients this service is; undefined: for all that are no other service's. */
  readonly tls: { readonly names: readonly string[]; readonly alpn: readonly string[] } | undefined;
  readonly helloTimeoutMs: number;
  /** Clients at once, of all workers together; undefined: any number. */
  readonly connectionsMax: number | undefined;
  /** Where they are counted for all workers together; undefined: for this worker alone. */
  readonly slot: number | undefined;
  /** Workers that listen beside each other for it. */
  readonly workers: number;
};

/** Of a service that asks nothing of its clients. */
export const openDoor: FrontDoor = {
  backlog: 4_096,
  acceptProxy: undefined,
  tls: undefined,
  helloTimeoutMs: 5_000,
  deny: [],
  allow: undefined,
  perSource: undefined,
  connectionsMax: undefined,
  slot: undefined,
  workers: 1,
};

/** Why a client that was accepted was sent away before a server was chosen for it, each with a RST. */
export type DoorRefusal =
  | AdmissionRefusal
  /** The service has all the clients that it may have. */
  | 'maxconn'
  | ProxyHeaderFault
  /** The header did not come, or not all of it, in its time. */
  | 'proxy-timeout'
  /** The connection ended before the header did. */
  | 'proxy-cut'
  | HelloFault
  | 'tls-timeout'
  | 'tls-cut'
  /** Not TLS, and all services of this address and port are for TLS. */
  | 'not-tls'
  /** No service is for the name that was asked for, or for none. */
  | 'no-such-name'
  /** Too many clients had not said yet what they want; this one had kept silent for longest. */
  | 'too-many-silent';
