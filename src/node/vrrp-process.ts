/**
 * The vrrp process: elections and virtual addresses, and nothing that could delay them. It reads no file, writes no log
 * and serves nobody; what it does it reports to the main process. When that one is gone, it gives everything up.
 */
import { assert, formatIp, parseIp } from '../base/index.ts';
import type { IpPrefix } from '../base/index.ts';
import { OperatorError, PreciseClock, errnoName, keepCompiledCode, loadNative } from '../runtime/index.ts';
import type { LogFields } from '../runtime/index.ts';
import {
  Addresses,
  Announcer,
  Rtnetlink,
  addressLifetimeDefaultMs,
  isIpv6Router,
  removeVirtualInterface,
} from '../vip/io/index.ts';
import type { AddressReport } from '../vip/io/index.ts';
import { Ipv6Transport, RawTransport, VirtualRouter, linkLocalAddress } from '../vrrp/io/index.ts';
import type { RouterAuthentication, RouterStatus, Transport, VirtualRouterOptions } from '../vrrp/io/index.ts';
import { Fitness } from './fitness.ts';
import { LinkLocalSource } from './link-local-source.ts';
import { openVirtualInterface } from './virtual-interface.ts';
import type { Footing } from './virtual-interface.ts';
import { virtualInterfaceSpec } from './vrrp-protocol.ts';
import { Rehearsal } from './vrrp-rehearsal.ts';
import type { ReportedHealth, RouterReport, RouterSpec, VrrpCommand, VrrpReport } from './vrrp-protocol.ts';

/** In the middle: above everything that is not real-time, below what the kernel itself may need. */
const fifoPriority = 50;
/** Enough for V8 to compile what runs, too few to be noticed at a start. */
const rehearsals = 50;

type Interface = {
  readonly addresses: Addresses;
  readonly routers: Set<RunningRouter>;
};

type RunningRouter = {
  readonly spec: RouterSpec;
  readonly router: VirtualRouter;
  readonly announcer: Announcer;
  /** Undefined: the configuration says where adverts leave from. */
  readonly source: LinkLocalSource | undefined;
};

const native = loadNative();
const clock = new PreciseClock({ native });
const interfaces = new Map<string, Interface>();
const transports = new Map<string, Transport>();
const routers = new Map<string, RunningRouter>();
/** Also for routers that are still to be made. */
let isPreemptPermitted = false;
const unreported: VrrpReport[] = [];
let rehearsal: Rehearsal | undefined;
const fitness = new Fitness({
  clock,
  handle: (router, command) => find(router)?.handle(command),
  report: (router, { from, to, cause, reasons, epoch }) =>
    report({ type: 'transition', router, from, to, cause, reasons, epoch }),
});
const virtualInterfaces: Addresses[] = [];
/** Of all virtual routers: none of them is a node's own, whatever interface it is on. */
let virtualAddresses: readonly Uint8Array[] = [];

keepCompiledCode();
process.on('message', (message) => void handle(message as VrrpCommand));
process.on('disconnect', () => void giveUp());
// An operator's Ctrl-C reaches the whole process group; the main process decides in which order things end.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);

async function handle(command: VrrpCommand): Promise<void> {
  switch (command.type) {
    case 'configure':
      isPreemptPermitted = command.isPreemptPermitted;
      return configure(command.routers);
    case 'health':
      fitness.onHealth(command.router, command.health);
      return;
    case 'fence': {
      const { epoch, priority, address } = command.fence;
      const bytes = parseIp(address);
      if (bytes !== undefined) find(command.router)?.handle({ type: 'fence', epoch, priority, address: bytes });
      return;
    }
    case 'peer-process-died': {
      const address = parseIp(command.address);
      if (address !== undefined) find(command.router)?.handle({ type: 'peer-process-died', address });
      return;
    }
    case 'preempt-permitted':
      isPreemptPermitted = command.isPermitted;
      for (const { router } of routers.values()) router.handle(command);
      return;
    case 'fence-lifted':
      find(command.router)?.handle({ type: 'fence-lifted', cause: command.cause });
      return;
    case 'peer-epoch':
      find(command.router)?.handle({ type: 'peer-epoch', epoch: command.epoch });
      return;
    case 'hand-over':
      find(command.router)?.handle({ type: 'hand-over', graceMs: command.graceMs });
      return;
    case 'take-over':
      find(command.router)?.handle({ type: 'take-over', epoch: command.epoch, graceMs: command.graceMs });
      return;
    case 'resign':
      find(command.router)?.handle({ type: 'resign' });
      return;
    case 'report-status':
      report({ type: 'status', id: command.id, routers: [...routers.values()].map(reportOf) });
      return;
    case 'stop':
      return giveUp();
  }
}

type ConfiguredRouter = RouterSpec & { readonly health: ReportedHealth };

async function configure(specs: readonly ConfiguredRouter[]): Promise<void> {
  await startRehearsal(specs);
  const fifo = native.scheduleFifo(fifoPriority);
  const locked = native.lockMemory();
  virtualAddresses = specs.flatMap(({ addresses }) => addresses.map(({ address }) => bytesOf(address)));
  try {
    for (const spec of specs) await startRouter(spec);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    report({ type: 'failed', code: error.code, what: error.message, mend: error.mend });
    return giveUp();
  }
  report({ type: 'ready', fifoScheduling: yesOrErrno(fifo), lockedMemory: yesOrErrno(locked) });
}

/** With one router, which is enough: what differs between them are numbers. */
async function startRehearsal([spec]: readonly ConfiguredRouter[]): Promise<void> {
  if (spec === undefined) return;
  rehearsal = new Rehearsal(optionsOf(spec), spec.addresses, { native });
  await rehearsal.start();
  for (let round = 0; round < rehearsals; round++) await rehearsal.perform();
}

async function startRouter(spec: ConfiguredRouter): Promise<void> {
  const parent = await openInterface(spec.interface);
  reportConflicts(spec.name, await parent.addresses.removeStale(spec.addresses));
  const { addresses, transport } = await openFooting(spec, parent);
  const announcer = new Announcer(
    { announceRefreshMs: spec.announceRefreshMs },
    { clock, native, link: () => addresses.link, isIpv6Router },
  );
  await announcer.start();
  const router = new VirtualRouter(optionsOf(spec), {
    transport,
    clock,
    addresses: addressPort(spec, addresses, announcer),
    onDownSoon: () => void rehearsal?.perform(),
    onTransition: (transition) => fitness.onTransition(spec.name, transition),
    onEpoch: (epoch) => report({ type: 'epoch-claimed', router: spec.name, epoch }),
    onAddressError: (operation, error) => tell(spec.name, `could not ${operation} addresses`, { err: describe(error) }),
  });
  const source = spec.ownAddress === undefined ? linkLocalSource(spec, router) : undefined;
  const running = { spec, router, announcer, source };
  routers.set(spec.name, running);
  parent.routers.add(running);
  fitness.add(spec.name, spec.syncGroup, parent.addresses.link?.up === true, spec.health);
  router.handle({ type: 'preempt-permitted', isPermitted: isPreemptPermitted });
  if (source !== undefined) findSource(running);
  await router.start();
}

function optionsOf(spec: ConfiguredRouter): VirtualRouterOptions {
  return {
    name: spec.name,
    version: spec.version,
    vrid: spec.vrid,
    priority: spec.health.priority,
    advertIntervalMs: spec.advertIntervalMs,
    preempt: spec.preempt,
    preemptDelayMs: spec.preemptDelayMs,
    ownAddress: bytesOf(spec.ownAddress ?? '::'),
    addresses: spec.addresses.map(({ address }) => bytesOf(address)),
    unicastPeer: spec.unicastPeer === undefined ? undefined : bytesOf(spec.unicastPeer),
    checksumForm: spec.checksum,
    authentication: authenticationOf(spec),
    epoch: spec.epoch,
  };
}

/** The router is kept out of the election until the address is there; the link may have taken the one that it had. */
function findSource({ spec, source }: RunningRouter): void {
  fitness.onSource(spec.name, false);
  source?.look();
}

function linkLocalSource({ name, interface: interfaceName }: RouterSpec, router: VirtualRouter): LinkLocalSource {
  return new LinkLocalSource({
    clock,
    find: () => linkLocalAddress(interfaceName, virtualAddresses),
    onReady: (address) => {
      router.setOwnAddress(address);
      report({ type: 'source-found', router: name, address: formatIp(address) });
      fitness.onSource(name, true);
    },
    onMissing: () =>
      tell(
        name,
        `waits for an IPv6 link-local address on ${interfaceName}; it needs net.ipv6.conf.${interfaceName}.` +
          'disable_ipv6=0 and an addr_gen_mode that is not none',
        {},
      ),
  });
}

/** Version 2's password and version 3's seals exclude each other; the configuration has been checked. */
function authenticationOf({ simplePassword, hmac }: RouterSpec): RouterAuthentication | undefined {
  if (simplePassword !== undefined) return { type: 'simple-text', password: simplePassword };
  if (hmac === undefined) return undefined;
  const keys = new Map(hmac.keys.map(({ id, key }) => [id, key]));
  return { type: 'hmac-sha256', keys, sendKeyId: hmac.activeKey, mode: hmac.mode };
}

function addressPort(spec: RouterSpec, addresses: Addresses, announcer: Announcer) {
  return {
    claim: async () => reportConflicts(spec.name, await addresses.claim(spec.addresses)),
    release: async () => {
      announcer.silence();
      await addresses.release(spec.addresses);
    },
    announce: () => announcer.announce(spec.addresses),
    silence: () => announcer.silence(),
  };
}

async function openFooting(spec: RouterSpec, parent: Interface): Promise<Footing> {
  const transport = await openTransport(spec);
  if (!spec.virtualMac) {
    await removeVirtualInterface(virtualInterfaceSpec(spec), { native });
    return { addresses: parent.addresses, transport };
  }
  const footing = await openVirtualInterface(spec, {
    native,
    clock,
    parent: parent.addresses,
    transport,
    onAddressLost: (vip) => onAddressLost(parent.routers, vip),
    onTrouble: (message, error) => tell(spec.name, message, error === undefined ? {} : { err: describe(error) }),
  });
  virtualInterfaces.push(footing.addresses);
  return footing;
}

/** Interfaces are shared: two virtual routers on one watch it once. */
async function openInterface(interfaceName: string): Promise<Interface> {
  const open = interfaces.get(interfaceName);
  if (open !== undefined) return open;
  const onInterface = new Set<RunningRouter>();
  const tellAll = (message: string, fields: LogFields): void => {
    for (const { spec } of onInterface) tell(spec.name, message, fields);
  };
  const changeLink = (up: boolean): void => {
    for (const running of onInterface) {
      if (up && running.source !== undefined) findSource(running);
      fitness.onLink(running.spec.name, up);
    }
  };
  const addresses = new Addresses(
    { interfaceName, addressLifetimeMs: addressLifetimeDefaultMs },
    {
      kernel: new Rtnetlink({ native }),
      clock,
      handlers: {
        onAddressLost: (vip) => onAddressLost(onInterface, vip),
        onLinkChanged: ({ up }) => changeLink(up),
        onLinkGone: () => {
          tellAll(`the interface ${interfaceName} is gone`, {});
          changeLink(false);
        },
        onRenewalFailed: (error) => tellAll('held addresses could not be renewed', { err: describe(error) }),
      },
    },
  );
  await addresses.start();
  const opened = { addresses, routers: onInterface };
  interfaces.set(interfaceName, opened);
  return opened;
}

async function openTransport(spec: RouterSpec): Promise<Transport> {
  const isMulticast = spec.unicastPeer === undefined;
  const key = `${spec.interface} ${isMulticast} ${spec.family}`;
  const open = transports.get(key);
  if (open !== undefined) return open;
  const options = { interfaceName: spec.interface, isMulticast };
  const transport = spec.family === 6 ? new Ipv6Transport(options, { native }) : new RawTransport(options);
  await transport.start();
  transports.set(key, transport);
  return transport;
}

/** It is back already; neighbours that asked meanwhile may have learned that it is nowhere. */
function onAddressLost(onInterface: Iterable<RunningRouter>, vip: IpPrefix): void {
  for (const { spec, announcer } of onInterface) {
    if (!spec.addresses.some(({ address }) => address === vip.address)) continue;
    announcer.announce(spec.addresses);
    tell(spec.name, `${vip.address} was deleted by somebody else and put back`, { address: vip.address });
  }
}

/** Releases everything with a goodbye, and ends. */
async function giveUp(): Promise<void> {
  fitness.end();
  for (const { source } of routers.values()) source?.stop();
  await Promise.all([...routers.values()].map(({ router }) => router.stop()));
  await Promise.all([...routers.values()].map(({ announcer }) => announcer.stop()));
  await Promise.all(virtualInterfaces.map((addresses) => addresses.stop()));
  await Promise.all([...interfaces.values()].map(({ addresses }) => addresses.stop()));
  flushReports();
  process.exit(0);
}

function find(name: string): VirtualRouter | undefined {
  return routers.get(name)?.router;
}

function reportOf({ router, announcer }: RunningRouter): RouterReport {
  const { counters, ...status } = router.status();
  const { framesSent: announcementsSent, sendFailures: announcementErrors } = announcer.counts;
  return {
    ...status,
    lastCause: fitness.lastCause(status.name),
    faults: fitness.faults(status.name),
    counters: { ...flatten(counters), announcementsSent, announcementErrors },
  };
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

function reportConflicts(router: string, { conflicts }: AddressReport): void {
  for (const { foreign } of conflicts) {
    const message = `${foreign.address} is configured on the interface by somebody else and left alone`;
    tell(router, message, { address: foreign.address });
  }
}

function tell(router: string, message: string, fields: LogFields): void {
  report({ type: 'address-event', router, message, fields });
}

/**
 * To write a message takes longer than to claim an address, and nobody is served meanwhile: so two turns of the event
 * loop come first. In the one the claim goes out, in the other comes the kernel's answer, which it gives at once; if it
 * does not, the report goes out nevertheless.
 */
function report(message: VrrpReport): void {
  unreported.push(message);
  if (unreported.length === 1) clock.afterPoll(() => clock.afterPoll(flushReports));
}

function flushReports(): void {
  for (const message of unreported.splice(0)) {
    if (process.connected) process.send?.(message, () => undefined);
  }
}

function yesOrErrno(result: number): string {
  return result < 0 ? errnoName(result) : 'yes';
}

function describe(error: unknown): string {
  return error instanceof OperatorError ? error.line : String(error);
}

function bytesOf(address: string): Uint8Array {
  const bytes = parseIp(address);
  assert(bytes !== undefined, `${address} has been checked to be an address`);
  return bytes;
}
