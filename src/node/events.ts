/**
 * What happened on this node, for operators: a bounded list, newest last. An event is written when something changed
 * or was refused, never periodically.
 */
export type NodeEvent = {
  /** Rises by one; a reader that has seen event n asks for what came after n. */
  readonly sequence: number;
  /** Wall time in milliseconds since 1970: for people. */
  readonly wallMs: number;
  readonly kind: EventKind;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
};

export type EventKind =
  | 'node'
  | 'transition'
  | 'address'
  | 'link'
  | 'peer'
  | 'sync'
  | 'server'
  | 'override'
  | 'failover'
  | 'process'
  | 'tracker'
  | 'hook'
  | 'config'
  | 'disk';

const eventsMax = 1_000;

export class EventLog {
  readonly #wallMs: () => number;
  readonly #listeners = new Set<(event: NodeEvent) => void>();
  #events: NodeEvent[] = [];
  #sequence = 0;

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
  }

  add(kind: EventKind, message: string, fields: NodeEvent['fields'] = {}): void {
    const event = { sequence: ++this.#sequence, wallMs: this.#wallMs(), kind, message, fields };
    this.#events.push(event);
    if (this.#events.length > eventsMax) this.#events = this.#events.slice(-eventsMax);
    for (const listener of this.#listeners) listener(event);
  }

  after(sequence: number): readonly NodeEvent[] {
    return this.#events.filter((event) => event.sequence > sequence);
  }

  /** Calls the listener with every later event; the result ends it. */
  follow(listener: (event: NodeEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
