import type { TransitionStatus } from './status-document.ts';

/** Enough to see a router flap, and what it did before. */
const keptMax = 16;

/** The last changes of state of each virtual router, beyond the life of the process that made them. */
export class TransitionHistory {
  readonly #wallMs: () => number;
  readonly #transitions = new Map<string, readonly TransitionStatus[]>();

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
  }

  /** Newest last. */
  of(router: string): readonly TransitionStatus[] {
    return this.#transitions.get(router) ?? [];
  }

  add(router: string, transition: Omit<TransitionStatus, 'wallMs'>): void {
    const latest = { wallMs: this.#wallMs(), ...transition };
    this.#transitions.set(router, [...this.of(router), latest].slice(-keptMax));
  }

  /** The process that elected it has died: it leaves whatever state it was in. */
  end(router: string, cause: string): void {
    const last = this.of(router).at(-1);
    if (last === undefined || last.to === 'initialize') return;
    this.add(router, { from: last.to, to: 'initialize', cause, reasons: [], epoch: last.epoch });
  }
}
