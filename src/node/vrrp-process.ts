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
import { planRouters } from './router-plan.ts';
import { openVirtualInterface } from './virtual-interface.ts';
import type { Footing } from './virtual-interface.ts';
import { virtualInterfaceSpec } from './vrrp-protocol.ts';
import { Rehearsal } from './vrrp-rehearsal.ts';
import type { ConfiguredRouter, Fence, RouterReport, RouterSpec, VrrpCommand, VrrpReport } from './vrrp-protocol.ts';

/** In the middle: above everything that is not real-time, below what the kernel itself may need. */
const fifoPriority = 50;
/** Enough for V8 to compile what runs, too few to be noticed at a start. */
const rehearsals = 50;

type Interface = {
  readonly addresses: Addresses;
  readonly routers: Set<RunningRouter>;
};

type RunningRouter = {
  spec: RouterSpec;
  readonly router: VirtualRouter;
  readonly parent: Interface;
  readonly footing: Footing;
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
/** Of all virtual routers: none of them is a node's own, whatever interface it is on. */
let virtualAddresses: readonly Uint8Array[] = [];
/** Configurations are applied one after the other. */
let lastTurn: Promise<void> = Promise.resolve();

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
      lastTurn = configure(command.routers);
      return lastTurn;
    case 'reconfigure':
      lastTurn = lastTurn.then(() => reconfigure(command.id, command.routers));
      return lastTurn;
    case 'health':
      fitness.onHealth(command.router, command.health);
      return;
    case 'fence':
      tellFence(command.router, command.fence);
      return;
    case 'peer-process-died':
    case 'peer-silent': {
      const address = parseIp(command.address);
      if (address !== undefined) find(command.router)?.handle({ type: command.type, address });
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

async function configure(specs: readonly ConfiguredRouter[]): Promise<void> {
  await startRehearsal(specs);
  const fifo = native.scheduleFifo(fifoPriority);
  const locked = native.lockMemory();
  noteVirtualAddresses(specs);
  try {
    for (const spec of specs) await startRouter(spec);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    report({ type: 'failed', code: error.code, what: error.message, mend: error.mend });
    return giveUp();
  }
  report({ type: 'ready', fifoScheduling: yesOrErrno(fifo), lockedMemory: yesOrErrno(locked) });
}

/**
 * What goes, goes first, so that an address may pass from one router to another. What was before is put back by the
 * main process, which asks for it in the same way.
 */
async function reconfigure(id: number, specs: readonly ConfiguredRouter[]): Promise<void> {
  const plan = planRouters(
    [...routers.values()].map(({ spec }) => spec),
    specs,
  );
  noteVirtualAddresses(specs);
  try {
    for (const name of [...plan.removed, ...plan.restarted.map((spec) => spec.name)]) await endRouter(name);
    for (const { from, to } of plan.changed) await releaseAddresses(from, to);
    for (const { from, to } of plan.changed) await changeRouter(from, to);
    for (const spec of [...plan.restarted, ...plan.added]) await startRouter(spec);
    await closeUnused();
    report({ type: 'reconfigured', id, failure: undefined });
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    report({ type: 'reconfigured', id, failure: { code: error.code, what: error.message, mend: error.mend } });
  }
}

function noteVirtualAddresses(specs: readonly RouterSpec[]): void {
  virtualAddresses = specs.flatMap(({ addresses }) => addresses.map(({ address }) => bytesOf(address)));
}

/** Releases its addresses with a goodbye; its group does not follow. */
async function endRouter(name: string): Promise<void> {
  const running = routers.get(name);
  if (running === undefined) return;
  fitness.leave(name);
  running.source?.stop();
  await running.router.stop();
  await running.announcer.stop();
  running.parent.routers.delete(running);
  await running.footing.stop();
  fitness.remove(name);
  routers.delete(name);
}

async function releaseAddresses(from: RouterSpec, to: RouterSpec): Promise<void> {
  const running = routers.get(to.name);
  const gone = without(from.addresses, to.addresses);
  if (running !== undefined && gone.length > 0 && isActive(running)) await running.footing.addresses.release(gone);
}

/** An active router has its new addresses before it speaks of them; one that yields meanwhile lets them go again. */
async function changeRouter(from: RouterSpec, to: ConfiguredRouter): Promise<void> {
  const running = routers.get(to.name);
  if (running === undefined) return;
  const { addresses } = running.footing;
  const added = without(to.addresses, from.addresses);
  if (added.length > 0) {
    reportConflicts(to.name, await addresses.removeStale(added));
    if (isActive(running)) await claimOrLeave(addresses, added);
  }
  running.spec = to;
  running.announcer.reconfigure({ announceRefreshMs: to.announceRefreshMs });
  running.router.reconfigure(optionsOf(to));
  fitness.regroup(to.name, to.syncGroup);
  fitness.onHealth(to.name, to.health);
  if (added.length > 0 && !isActive(running)) await addresses.release(added);
}

async function claimOrLeave(addresses: Addresses, vips: readonly IpPrefix[]): Promise<void> {
  try {
    await addresses.claim(vips);
  } catch (error) {
    await addresses.release(vips).catch(() => undefined);
    throw error;
  }
}

/** Sockets and interfaces that no router needs any more. */
async function closeUnused(): Promise<void> {
  const needed = new Set([...routers.values()].map(({ spec }) => transportKey(spec)));
  for (const [key, transport] of transports) {
    if (needed.has(key)) continue;
    transports.delete(key);
    await transport.stop();
  }
  for (const [name, { addresses, routers: onInterface }] of interfaces) {
    if (onInterface.size > 0) continue;
    interfaces.delete(name);
    await addresses.stop();
  }
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
  const footing = await openFooting(spec, parent);
  const { addresses, transport } = footing;
  const announcer = new Announcer(
    { announceRefreshMs: spec.announceRefreshMs },
    { clock, native, link: () => addresses.link, isIpv6Router },
  );
  try {
    await announcer.start();
  } catch (error) {
    await footing.stop();
    throw error;
  }
  const router = new VirtualRouter(optionsOf(spec), {
    transport,
    clock,
    addresses: addressPort(spec.name, addresses, announcer),
    onDownSoon: () => void rehearsal?.perform(),
    onTransition: (transition) => fitness.onTransition(spec.name, transition),
    onEpoch: (epoch) => report({ type: 'epoch-claimed', router: spec.name, epoch }),
    onAddressError: (operation, error) => tell(spec.name, `could not ${operation} addresses`, { err: describe(error) }),
  });
  const source = spec.ownAddress === undefined ? linkLocalSource(spec, router) : undefined;
  const running = { spec, router, parent, footing, announcer, source };
  routers.set(spec.name, running);
  parent.routers.add(running);
  fitness.add(spec.name, spec.syncGroup, parent.addresses.link?.up === true, spec.health);
  router.handle({ type: 'preempt-permitted', isPermitted: isPreemptPermitted });
  if (source !== undefined) findSource(running);
  await router.start();
  if (spec.fence !== undefined) tellFence(spec.name, spec.fence);
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

/** Of the router's addresses as they are configured at the time. */
function addressPort(name: string, addresses: Addresses, announcer: Announcer) {
  const vips = (): readonly IpPrefix[] => routers.get(name)?.spec.addresses ?? [];
  return {
    claim: async () => reportConflicts(name, await addresses.claim(vips())),
    release: async () => {
      announcer.silence();
      await addresses.release(vips());
    },
    announce: () => announcer.announce(vips()),
    silence: () => announcer.silence(),
  };
}

async function openFooting(spec: RouterSpec, parent: Interface): Promise<Footing> {
  const transport = await openTransport(spec);
  if (!spec.virtualMac) {
    await removeVirtualInterface(virtualInterfaceSpec(spec), { native });
    return { addresses: parent.addresses, transport, stop: () => Promise.resolve() };
  }
  return openVirtualInterface(spec, {
    native,
    clock,
    parent: parent.addresses,
    transport,
    onAddressLost: (vip) => onAddressLost(parent.routers, vip),
    onTrouble: (message, error) => tell(spec.name, message, error === undefined ? {} : { err: describe(error) }),
  });
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
  const key = transportKey(spec);
  const open = transports.get(key);
  if (open !== undefined) return open;
  const options = { interfaceName: spec.interface, isMulticast };
  const transport = spec.family === 6 ? new Ipv6Transport(options, { native }) : new RawTransport(options);
  await transport.start();
  transports.set(key, transport);
  return transport;
}

function transportKey({ interface: interfaceName, unicastPeer, family }: RouterSpec): string {
  return `${interfaceName} ${unicastPeer === undefined} ${family}`;
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
  await Promise.all([...routers.values()].map(({ footing }) => footing.stop()));
  await Promise.all([...interfaces.values()].map(({ addresses }) => addresses.stop()));
  flushReports();
  process.exit(0);
}

function tellFence(router: string, { epoch, priority, address }: Fence): void {
  const bytes = parseIp(address);
  if (bytes !== undefined) find(router)?.handle({ type: 'fence', epoch, priority, address: bytes });
}

function isActive({ router }: RunningRouter): boolean {
  return router.status().state === 'active';
}

function without(vips: readonly IpPrefix[], others: readonly IpPrefix[]): readonly IpPrefix[] {
  return vips.filter(({ address }) => !others.some((other) => other.address === address));
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
