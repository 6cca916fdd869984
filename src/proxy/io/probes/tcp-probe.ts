/** Connects, and closes with RST: a server under check every two seconds need not keep a TIME_WAIT for each. */
import { epoll, errnoName } from '../../../runtime/index.ts';
import type { Native } from '../../../runtime/index.ts';
import { encodeProxyHeader } from '../../index.ts';
import type { ProxyVersion } from '../../index.ts';
import { streamEvents } from '../poller.ts';
import type { Poller, PollerTarget } from '../poller.ts';
import { closeWithReset, takeSocketError } from '../socket-options.ts';
import type { Probe, ProbeOutcome, ProbeTarget, RunningProbe } from './probe.ts';

type Dependencies = { readonly native: Native; readonly poller: Poller };

export function tcpProbe(dependencies: Dependencies): Probe {
  return {
    start: (target, onOutcome) => new TcpConnect(dependencies, target, onOutcome),
  };
}

class TcpConnect implements PollerTarget, RunningProbe {
  readonly #dependencies: Dependencies;
  readonly #onOutcome: (outcome: ProbeOutcome) => void;
  readonly #sendProxy: ProxyVersion | undefined;
  #fd: number;
  #pollerId = -1;

  constructor(
    dependencies: Dependencies,
    { address, port, source, sendProxy }: ProbeTarget,
    onOutcome: (outcome: ProbeOutcome) => void,
  ) {
    const { native, poller } = dependencies;
    this.#dependencies = dependencies;
    this.#onOutcome = onOutcome;
    this.#sendProxy = sendProxy;
    this.#fd = native.tcpConnect(address, port, source, 0);
    const result = this.#fd < 0 ? this.#fd : poller.add(this.#fd, streamEvents, this);
    if (result >= 0) this.#pollerId = result;
    else this.#end({ passed: false, reason: errnoName(result) });
  }

  onReady(events: number): void {
    if ((events & (epoll.error | epoll.hangUp)) !== 0) {
      const error = takeSocketError(this.#dependencies.native, this.#fd);
      this.#end({ passed: false, reason: error < 0 ? errnoName(error) : 'closed' });
    } else if ((events & epoll.out) !== 0) {
      this.#greet();
    }
  }

  /** A server that expects a header would log its absence with each check. */
  #greet(): void {
    const header = this.#sendProxy === undefined ? undefined : encodeProxyHeader(this.#sendProxy, undefined);
    const sent = header === undefined ? 0 : this.#dependencies.native.send(this.#fd, header, 0, header.length);
    this.#end(sent < 0 ? { passed: false, reason: errnoName(sent) } : { passed: true });
  }

  cancel(): void {
    if (this.#fd < 0) return;
    if (this.#pollerId >= 0) this.#dependencies.poller.release(this.#pollerId);
    closeWithReset(this.#dependencies.native, this.#fd);
    this.#fd = -1;
    this.#pollerId = -1;
  }

  #end(outcome: ProbeOutcome): void {
    this.cancel();
    this.#onOutcome(outcome);
  }
}
