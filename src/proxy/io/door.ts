/** The doors of a worker: each address and port that it listens on, and the services that stand behind it. */
import { formatEndpoint, ipFamily } from '../../base/index.ts';
import { PrefixSet, SniRoutes, sourceSteering } from '../index.ts';
import type { TcpOptions } from '../index.ts';
import type { ServiceRuntime } from './service-runtime.ts';

export type Door = {
  /** "192.0.2.1:443": services come and go, and the listener stays. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly backlog: number;
  /** Those of the accountable service: they are set before it is known whose a client is. */
  readonly tcp: TcpOptions;
  readonly services: readonly ServiceRuntime[];
  /** For clients that no route is for. */
  readonly fallback: ServiceRuntime | undefined;
  /** Counts the clients of whom it is not known whose they are. */
  readonly accountable: ServiceRuntime;
  /** Who sends a PROXY protocol header; undefined: nobody. */
  readonly headerFrom: PrefixSet | undefined;
  readonly headerTimeoutMs: number;
  /** Undefined: nobody's ClientHello is looked at. */
  readonly routes: SniRoutes<ServiceRuntime> | undefined;
  readonly helloTimeoutMs: number;
  /** For the kernel, which worker gets a client; undefined: as it likes. */
  readonly steering: Uint8Array | undefined;
};

/** The doors of these services, in their order. */
export function doorsOf(services: readonly ServiceRuntime[]): readonly Door[] {
  const groups = new Map<string, [ServiceRuntime, ...ServiceRuntime[]]>();
  for (const service of services) {
    const key = formatEndpoint(service.spec.address, service.spec.port);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [service]);
    else group.push(service);
  }
  return Array.from(groups.values(), doorOf);
}

/** Its services have a door elsewhere. */
export function hasMoved({ name, services }: Door, before: ReadonlyMap<string, Door>): boolean {
  return !before.has(name) && [...before.values()].some((door) => door.services.some((one) => services.includes(one)));
}

function doorOf(services: readonly [ServiceRuntime, ...ServiceRuntime[]]): Door {
  const [first] = services;
  const { address, port } = first.spec;
  const { backlog, acceptProxy, helloTimeoutMs } = first.frontDoor;
  const fallback = services.find((service) => service.frontDoor.tls === undefined);
  const routes = services.flatMap((target) => {
    const { tls } = target.frontDoor;
    return tls === undefined ? [] : [{ ...tls, target }];
  });
  return {
    name: formatEndpoint(address, port),
    address,
    port,
    backlog,
    tcp: (fallback ?? first).spec.tcp,
    services,
    fallback,
    accountable: fallback ?? first,
    headerFrom: acceptProxy && new PrefixSet(acceptProxy.from),
    headerTimeoutMs: acceptProxy?.timeoutMs ?? 0,
    routes: routes.length === 0 ? undefined : new SniRoutes(routes),
    helloTimeoutMs,
    steering: steeringOf(address, services),
  };
}

/**
 * Behind other proxies the kernel does not see who the client is, and would give all that come through one of them to a
 * single worker.
 */
function steeringOf(address: string, services: readonly [ServiceRuntime, ...ServiceRuntime[]]): Uint8Array | undefined {
  const { acceptProxy, workers } = services[0].frontDoor;
  const lengths = services.flatMap(({ frontDoor }) => frontDoor.perSource?.ipv6PrefixLength ?? []);
  if (lengths.length === 0 || workers === 1 || acceptProxy !== undefined) return undefined;
  return sourceSteering(ipFamily(address) ?? 4, workers, Math.min(...lengths));
}
