/**
 * The client side of a worker, up to the connection: who has just been accepted is brought to a service, which admits
 * the client or sends it away.
 */
import { formatIp } from '../../base/index.ts';
import { Connection } from './connection.ts';
import { closeWithReset } from './socket-options.ts';
import { stickSource } from '../index.ts';
import type { Clock, Native } from '../../runtime/index.ts';
import type { RefusalReason } from '../index.ts';
import type { AccessLog } from './access-log.ts';
import type { Connections } from './connections.ts';
import type { Dialer } from './dialer.ts';
import type { Door } from './door.ts';
import type { Poller } from './poller.ts';
import type { Newcomer, Preface } from './preface.ts';
import type { ServiceRuntime } from './service-runtime.ts';

type FrontendDependencies = {
  readonly native: Native;
  readonly clock: Clock;
  readonly poller: Poller;
  readonly accessLog: AccessLog;
  readonly preface: Preface;
  readonly connections: Connections;
  readonly dialer: Dialer;
  readonly doorOf: (listener: string) => Door | undefined;
  /** Somebody was sent away: there may be room for another one. */
  readonly onRoom: () => void;
};

/** `source` is what the client counts as. */
type Admittance =
  { readonly ok: true; readonly source: string | undefined } | { readonly ok: false; readonly reason: RefusalReason };

const admitted: Admittance = { ok: true, source: undefined };

export class Frontend {
  readonly #dependencies: FrontendDependencies;

  constructor(dependencies: FrontendDependencies) {
    this.#dependencies = dependencies;
  }

  /** A listener has accepted a client; `endpoint` holds its address until the next one comes. */
  onClient(listener: string, fd: number, endpoint: Uint8Array): void {
    const { native, accessLog, preface, doorOf } = this.#dependencies;
    const door = doorOf(listener);
    if (door === undefined) {
      closeWithReset(native, fd);
      return;
    }
    const ip = endpoint.subarray(4, endpoint[0] === 4 ? 8 : 20);
    preface.begin(door, { fd, ip, trace: accessLog.begin(endpoint) });
  }

  /** The service of the client is known. */
  onKnown(service: ServiceRuntime, newcomer: Newcomer): void {
    const admitted = this.#admit(service, newcomer.ip);
    if (!admitted.ok) {
      this.turnAway(service, newcomer, admitted.reason);
      return;
    }
    const { connections, dialer } = this.#dependencies;
    const source = sourceOf(service, newcomer.ip);
    const connection = new Connection({ service, source, fd: newcomer.fd, driver: dialer });
    connection.trace = newcomer.trace;
    connection.addresses = newcomer.addresses;
    connection.admission = service.admission;
    connection.countedAs = admitted.source;
    if (newcomer.pollerId >= 0) this.#watchFrom(connection, newcomer);
    connections.begin(connection);
  }

  /** Ends what has not become a connection, and is counted as none. */
  turnAway(service: ServiceRuntime, newcomer: Newcomer, reason: RefusalReason): void {
    const { native, poller, accessLog, connections, onRoom } = this.#dependencies;
    const { fd, pollerId, trace, addresses } = newcomer;
    const workerConnections = connections.size;
    service.countRefusal(reason);
    if (trace !== undefined) accessLog.writeRefusal(service, { trace, addresses }, { reason, workerConnections });
    if (pollerId >= 0) poller.release(pollerId);
    closeWithReset(native, fd);
    onRoom();
  }

  /** Takes a place of the service's for the client, or says why it gets none. */
  #admit(service: ServiceRuntime, ip: Uint8Array): Admittance {
    const { admission } = service;
    if (admission?.denies(ip) === true) return { ok: false, reason: 'denied' };
    if (!service.acquire()) return { ok: false, reason: 'maxconn' };
    if (admission === undefined) return admitted;
    const result = admission.admit(ip, this.#dependencies.clock.nowMs());
    if (!result.ok) service.release();
    return result;
  }

  /** Goes on with a socket that is watched already; what it told is not told again. */
  #watchFrom({ front }: Connection, { pollerId, events }: Newcomer): void {
    front.pollerId = pollerId;
    front.note(events);
    this.#dependencies.poller.retarget(pollerId, front);
  }
}

/** What the client is known by where a server is chosen. */
function sourceOf({ needsSource, spec }: ServiceRuntime, ip: Uint8Array): string {
  if (!needsSource) return '';
  return spec.stick === undefined ? formatIp(ip) : stickSource(ip, spec.stick.prefix);
}
