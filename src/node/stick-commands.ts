/** What operators may ask of the stick tables: who is sticky to whom, and to forget it. */
import { notSticky } from './service-errors.ts';
import type { ServiceList } from './service-list.ts';
import type { Stickiness, StickStatus } from './stickiness.ts';
import type { TellOverride } from './tell-override.ts';

export type StickQuery = { readonly service?: string | undefined; readonly source?: string | undefined };

/** `total` counts also those that are too many to be listed. */
export type StickList = { readonly total: number; readonly entries: readonly StickStatus[] };

export type StickCommandsPorts = {
  readonly tell: TellOverride;
  readonly list: ServiceList;
  readonly stickiness: Stickiness;
};

const listedMax = 10_000;

export class StickCommands {
  readonly #ports: StickCommandsPorts;

  constructor(ports: StickCommandsPorts) {
    this.#ports = ports;
  }

  /** Throws OperatorError `NO_SUCH_SERVICE`, or `NOT_STICKY`. */
  list(wanted: StickQuery): StickList {
    if (wanted.service !== undefined) this.#requireSticky(wanted.service);
    const entries: StickStatus[] = [];
    let total = 0;
    for (const entry of this.#ports.stickiness.list(wanted)) if (++total <= listedMax) entries.push(entry);
    return { total, entries };
  }

  /** How many clients of the service are forgotten; all without a source. Throws like `list`. */
  clear(service: string, source: string | undefined): number {
    this.#requireSticky(service);
    const cleared = this.#ports.stickiness.clear(service, source);
    const what = source === undefined ? 'all sources' : source;
    this.#ports.tell(`${service}: ${what} cleared from the stick table (${cleared})`, { service, cleared });
    return cleared;
  }

  #requireSticky(service: string): void {
    if (this.#ports.list.require(service).stick === undefined) throw notSticky(service);
  }
}
