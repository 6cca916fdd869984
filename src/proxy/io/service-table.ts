/** The services of a worker and the doors to them, kept as the configuration wants them. */
import { doorsOf, hasMoved } from './door.ts';
import { ServiceRuntime } from './service-runtime.ts';
import { ownSlot } from './shared-counts.ts';
import type { Clock, Native, Random } from '../../runtime/index.ts';
import type { WorkerService } from '../index.ts';
import type { Door } from './door.ts';
import type { ServerRuntime } from './server-runtime.ts';
import type { ListenFailure, ServiceListeners } from './service-listeners.ts';
import type { Slot } from './shared-counts.ts';
import type { WorkerPeers } from './waiting-room.ts';

type ServiceTableDependencies = {
  readonly native: Native;
  readonly clock: Clock;
  readonly random: Random;
  readonly listeners: ServiceListeners;
  /** Undefined: this worker counts for itself. */
  readonly peers: WorkerPeers | undefined;
  /** A service that was known has changed, and these servers of it have gone down. */
  readonly onUpdated: (service: ServiceRuntime, down: readonly ServerRuntime[]) => void;
};

export class ServiceTable {
  readonly #dependencies: ServiceTableDependencies;
  readonly #services = new Map<string, ServiceRuntime>();
  #doors: ReadonlyMap<string, Door> = new Map();

  constructor(dependencies: ServiceTableDependencies) {
    this.#dependencies = dependencies;
  }

  /** All that are known, also those that were removed and still have connections. */
  get all(): Iterable<ServiceRuntime> {
    return this.#services.values();
  }

  get(name: string): ServiceRuntime | undefined {
    return this.#services.get(name);
  }

  /** The door at which a listener of that name accepts. */
  doorOf(listener: string): Door | undefined {
    return this.#doors.get(listener);
  }

  /**
   * These services from now on; answers those that cannot be listened for. Unless `mayListen`, none is. Listeners are
   * closed only if all others could be opened: until then their services have clients, and stay.
   */
  configure(specs: readonly WorkerService[], mayListen: boolean): readonly ListenFailure[] {
    for (const spec of specs) this.#set(spec);
    const failures = this.#configureDoors(mayListen ? specs : []);
    if (failures.length > 0) return failures;
    const wanted = new Set(specs.map(({ name }) => name));
    for (const [name, service] of this.#services) if (!wanted.has(name)) service.configured = false;
    this.forgetRemoved();
    return [];
  }

  /** A service that was removed stays known until its last connection has ended. */
  forgetRemoved(): void {
    for (const [name, service] of this.#services) {
      if (!service.configured && service.connections === 0) this.#services.delete(name);
    }
  }

  #set(spec: WorkerService): void {
    const { clock, random, onUpdated } = this.#dependencies;
    const known = this.#services.get(spec.name);
    if (known !== undefined) {
      onUpdated(known, known.update(spec));
      return;
    }
    const slotAt = (index: number | undefined): Slot => this.#slotAt(index);
    this.#services.set(spec.name, new ServiceRuntime(spec, { clock, random, slotAt }));
  }

  /** Services that share an address and port share its listener, and whether there is one. */
  #configureDoors(specs: readonly WorkerService[]): readonly ListenFailure[] {
    const doors = doorsOf(specs.flatMap(({ name }) => this.#services.get(name) ?? []));
    const wanted = new Map(doors.map((door) => [door.name, door]));
    // Of a listener that is closed now, the clients that were waiting there still find its door.
    const before = this.#doors;
    this.#doors = new Map([...before, ...wanted]);
    const moved = new Set(doors.filter((door) => hasMoved(door, before)).map(({ name }) => name));
    const results = this.#dependencies.listeners.configure(doors, moved);
    const failures = new Map(results.map(({ service, error }) => [service, error]));
    if (failures.size === 0) this.#doors = wanted;
    return doors.flatMap((door) => {
      const error = failures.get(door.name);
      return error === undefined ? [] : door.services.map(({ spec }) => ({ service: spec.name, error }));
    });
  }

  #slotAt(index: number | undefined): Slot {
    const { native, peers } = this.#dependencies;
    return peers === undefined || index === undefined ? ownSlot(native) : peers.counts.slot(index, peers.worker);
  }
}
