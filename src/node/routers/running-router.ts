/**
 * One virtual router that runs: the machine that takes part in the election, the addresses that the machine claims and
 * releases, and what is announced of them.
 */
import { formatIp, parseIp } from '../../base/index.ts';
import type { IpPrefix } from '../../base/index.ts';
import type { Clock, Native } from '../../runtime/index.ts';
import { Announcer, isIpv6Router } from '../../vip/io/index.ts';
import type { Addresses } from '../../vip/io/index.ts';
import { VirtualRouter, linkLocalAddress } from '../../vrrp/io/index.ts';
import type { AddressPort, RouterCommand, RouterStatus } from '../../vrrp/io/index.ts';
import type { ConfiguredRouter, Fence, RouterReport } from '../vrrp-protocol.ts';
import type { Fitness } from './fitness.ts';
import type { InterfaceListener, WatchedInterface } from './interfaces.ts';
import { LinkLocalSource } from './link-local-source.ts';
import type { Reports } from './reports.ts';
import { routerOptions } from './router-options.ts';
import type { Footing } from './virtual-interface.ts';

export type RunningRouterPorts = {
  readonly native: Native;
  readonly clock: Clock;
  readonly fitness: Fitness;
  readonly reports: Reports;
  /** The interface that it is on, and where its addresses live, which may be another one. */
  readonly parent: WatchedInterface;
  readonly footing: Footing;
  readonly onDownSoon: () => void;
  /** Of all virtual routers as they are configured at the time: none of them is a node's own. */
  readonly virtualAddresses: () => readonly Uint8Array[];
};

export class RunningRouter implements InterfaceListener {
  readonly #ports: RunningRouterPorts;
  readonly #machine: VirtualRouter;
  readonly #announcer: Announcer;
  /** Undefined: the configuration says where adverts leave from. */
  readonly #source: LinkLocalSource | undefined;
  #spec: ConfiguredRouter;

  constructor(spec: ConfiguredRouter, ports: RunningRouterPorts) {
    const { native, clock, fitness, reports, footing, onDownSoon } = ports;
    this.#spec = spec;
    this.#ports = ports;
    this.#announcer = new Announcer(
      { announceRefreshMs: spec.announceRefreshMs },
      { clock, native, link: () => footing.addresses.link, isIpv6Router },
    );
    this.#machine = new VirtualRouter(routerOptions(spec), {
      transport: footing.transport,
      clock,
      addresses: this.#addressPort(),
      onDownSoon,
      onTransition: (transition) => fitness.onTransition(spec.name, transition),
      onEpoch: (epoch) => reports.add({ type: 'epoch-claimed', router: spec.name, epoch }),
      onAddressError: (operation, error) => reports.trouble(spec.name, `could not ${operation} addresses`, error),
    });
    this.#source = spec.ownAddress === undefined ? this.#linkLocalSource() : undefined;
  }

  get spec(): ConfiguredRouter {
    return this.#spec;
  }

  /** Opens the socket of its announcements. Throws OperatorError as `Announcer.start`; its footing is gone then. */
  async open(): Promise<void> {
    try {
      await this.#announcer.start();
    } catch (error) {
      await this.#ports.footing.stop();
      throw error;
    }
  }

  /** Joins the election, in which the others know it already: whoever follows it can find it by its name. */
  async start(isPreemptPermitted: boolean): Promise<void> {
    const { fitness, parent } = this.#ports;
    const { name, syncGroup, health, fence } = this.#spec;
    parent.listeners.add(this);
    fitness.add(name, syncGroup, parent.addresses.link?.up === true, health);
    this.#machine.handle({ type: 'preempt-permitted', isPermitted: isPreemptPermitted });
    this.#findSource();
    await this.#machine.start();
    if (fence !== undefined) this.fence(fence);
  }

  /** Releases its addresses with a goodbye. */
  async stop(): Promise<void> {
    const { parent, footing } = this.#ports;
    this.#source?.stop();
    await this.#machine.stop();
    await this.#announcer.stop();
    parent.listeners.delete(this);
    await footing.stop();
  }

  handle(command: RouterCommand): void {
    this.#machine.handle(command);
  }

  fence({ epoch, priority, address }: Fence): void {
    const bytes = parseIp(address);
    if (bytes !== undefined) this.#machine.handle({ type: 'fence', epoch, priority, address: bytes });
  }

  /** The first half of a change: another router may be waiting for an address that is not in the new list. */
  async releaseGone(to: ConfiguredRouter): Promise<void> {
    const gone = without(this.#spec.addresses, to.addresses);
    if (gone.length > 0 && this.#isActive()) await this.#ports.footing.addresses.release(gone);
  }

  /** An active router has its new addresses before it speaks of them; one that yields meanwhile lets them go again. */
  async change(to: ConfiguredRouter): Promise<void> {
    const { fitness, reports, footing } = this.#ports;
    const { addresses } = footing;
    const added = without(to.addresses, this.#spec.addresses);
    if (added.length > 0) {
      reports.conflicts(to.name, await addresses.removeStale(added));
      if (this.#isActive()) await claimOrLeave(addresses, added);
    }
    this.#spec = to;
    this.#announcer.reconfigure({ announceRefreshMs: to.announceRefreshMs });
    this.#machine.reconfigure(routerOptions(to));
    fitness.regroup(to.name, to.syncGroup);
    fitness.onHealth(to.name, to.health);
    if (added.length > 0 && !this.#isActive()) await addresses.release(added);
  }

  onLink(isUp: boolean): void {
    if (isUp) this.#findSource();
    this.#ports.fitness.onLink(this.#spec.name, isUp);
  }

  /** Neighbours that asked before it was back may have learned that it is nowhere. */
  onAddressLost(vip: IpPrefix): void {
    const { name, addresses } = this.#spec;
    if (!addresses.some(({ address }) => address === vip.address)) return;
    this.#announcer.announce(addresses);
    this.#ports.reports.putBack(name, vip);
  }

  onTrouble(message: string, error?: unknown): void {
    this.#ports.reports.trouble(this.#spec.name, message, error);
  }

  report(): RouterReport {
    const { counters, ...status } = this.#machine.status();
    const { framesSent: announcementsSent, sendFailures: announcementErrors } = this.#announcer.counts;
    return {
      ...status,
      lastCause: this.#ports.fitness.lastCause(status.name),
      faults: this.#ports.fitness.faults(status.name),
      counters: { ...flatten(counters), announcementsSent, announcementErrors },
    };
  }

  /** Of its addresses as they are configured at the time. */
  #addressPort(): AddressPort {
    const { reports, footing } = this.#ports;
    const { addresses } = footing;
    return {
      claim: async () => reports.conflicts(this.#spec.name, await addresses.claim(this.#spec.addresses)),
      release: async () => {
        this.#announcer.silence();
        await addresses.release(this.#spec.addresses);
      },
      announce: () => this.#announcer.announce(this.#spec.addresses),
      silence: () => this.#announcer.silence(),
    };
  }

  /** The router is kept out of the election until the address is there; the link may have taken the one that it had. */
  #findSource(): void {
    if (this.#source === undefined) return;
    this.#ports.fitness.onSource(this.#spec.name, false);
    this.#source.look();
  }

  #linkLocalSource(): LinkLocalSource {
    const { clock, fitness, reports, virtualAddresses } = this.#ports;
    const { name, interface: interfaceName } = this.#spec;
    return new LinkLocalSource({
      clock,
      find: () => linkLocalAddress(interfaceName, virtualAddresses()),
      onReady: (address) => {
        this.#machine.setOwnAddress(address);
        reports.add({ type: 'source-found', router: name, address: formatIp(address) });
        fitness.onSource(name, true);
      },
      onMissing: () =>
        reports.trouble(
          name,
          `waits for an IPv6 link-local address on ${interfaceName}; it needs net.ipv6.conf.${interfaceName}.` +
            'disable_ipv6=0 and an addr_gen_mode that is not none',
        ),
    });
  }

  #isActive(): boolean {
    return this.#machine.status().state === 'active';
  }
}

async function claimOrLeave(addresses: Addresses, vips: readonly IpPrefix[]): Promise<void> {
  try {
    await addresses.claim(vips);
  } catch (error) {
    await addresses.release(vips).catch(() => undefined);
    throw error;
  }
}

function without(vips: readonly IpPrefix[], others: readonly IpPrefix[]): readonly IpPrefix[] {
  return vips.filter(({ address }) => !others.some((other) => other.address === address));
}

/** Counters by reason become counters of their own: dropped.ttl. */
function flatten(counters: RouterStatus['counters']): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(counters).flatMap(([name, value]) =>
      typeof value === 'number'
        ? [[name, value]]
        : Object.entries(value).map(([reason, count]): [string, number] => [`${name}.${reason}`, count]),
    ),
  );
}
