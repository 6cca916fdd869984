import type { Logger } from './logger.ts';

/** Constructors store, start() starts, stop() ends. Both may be called once. */
export type Service = {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
};

/**
 * Starts services in order and stops them in reverse. When one fails to start, those before it are stopped again and
 * the failure is thrown: nothing is left half-started.
 */
export class Lifecycle {
  readonly #logger: Logger;
  readonly #running: Service[] = [];

  constructor(dependencies: { logger: Logger }) {
    this.#logger = dependencies.logger;
  }

  async start(services: readonly Service[]): Promise<void> {
    for (const service of services) {
      this.#running.push(service);
      try {
        await service.start();
      } catch (error) {
        this.#running.pop();
        await this.stop();
        throw error;
      }
    }
  }

  async stop(): Promise<void> {
    for (let service = this.#running.pop(); service !== undefined; service = this.#running.pop()) {
      try {
        await service.stop();
      } catch (error) {
        this.#logger.error({ service: service.name, err: error }, 'service did not stop cleanly');
      }
    }
  }
}
