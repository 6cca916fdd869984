import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServiceConfig } from '../../../src/config/index.ts';
import { EventLog } from '../../../src/node/events.ts';
import { HealthChecks } from '../../../src/node/health-checks.ts';
import { createPool, serving } from '../../../src/proxy/index.ts';
import type { PoolServer, ServerPool, WorkerServer } from '../../../src/proxy/index.ts';
import { silentLogger } from '../../../src/runtime/index.ts';
import {
  SocketTestClock,
  deadServer,
  native,
  ownAddress,
  startNamedServer,
  startServer,
  until,
} from '../proxy/io/harness.ts';

describe('health checks', () => {
  it('tell the pool what was found, with its reason', async () => {
    const test = await Stage.start({ server: deadServer('s1') });
    await until(() => test.server.health === 'down');
    expect(test.events()).toEqual(['web: s1 went down (ECONNREFUSED)']);
    expect(test.checks.lastCheck('web', 's1')).toBe('failed: ECONNREFUSED');
    expect(test.checks.agentStatus(test.service, test.server)).toBeUndefined();
  });

  it('tell what the agent has said, and say so where it matters', async () => {
    const words = ['75% cpu:20%', 'drain # soon', 'down # out of disk', 'ready up'];
    const agent = await startServer('agent', (socket) => socket.end(`${words.shift() ?? 'what'}\n`));
    const test = await Stage.start({ server: await startNamedServer('s1'), agent });
    await until(() => serving(test.server).weight < 1);
    expect(serving(test.server)).toEqual({ admin: 'ready', health: 'up', weight: 0.75 * 0.8, isEjected: false });
    expect(test.events()).toEqual([]);
    await test.until(() => serving(test.server).admin === 'drain');
    await test.until(() => serving(test.server).health === 'down');
    expect(test.status).toMatchObject({ state: 'drain', down: 'down: out of disk', percent: 75, load: 0.2 });
    await test.until(() => serving(test.server).health === 'up');
    expect(test.events()).toEqual(
      ['drain', 'down: out of disk', 'ready', 'up'].map((word) => `web: s1's agent says ${word}`),
    );
    await test.until(() => test.status?.lastAnswer?.includes('what') === true);
    expect(test.status?.lastAnswer).toBe('ready, up, 75%, load 0.2, with an unknown word: what');
  });

  it('believe what an agent has said last when it does not answer any more', async () => {
    const agent = await startServer('agent', (socket) => socket.end('maint 50%\n'));
    const test = await Stage.start({ server: await startNamedServer('s1'), agent });
    await until(() => serving(test.server).admin === 'maint');
    test.moveAgent(deadServer('agent').port);
    await until(() => test.status?.lastAnswer === 'no answer: ECONNREFUSED');
    expect(serving(test.server)).toEqual({ admin: 'maint', health: 'up', weight: 0.5, isEjected: false });
    expect(test.events()).toEqual(["web: s1's agent says maint"]);
  });

  it('leave nothing behind that nobody could take back, when there are none any more', async () => {
    const agent = await startServer('agent', (socket) => socket.end('drain\n'));
    const test = await Stage.start({ server: deadServer('s1'), agent });
    await until(() => test.server.health === 'down' && test.server.agent?.admin === 'drain');
    test.service = { ...test.service, check: undefined, agent: undefined };
    test.checks.configure();
    expect(serving(test.server)).toEqual({ admin: 'ready', health: 'up', weight: 1, isEjected: false });
    expect(test.checks.lastCheck('web', 's1')).toBeUndefined();
  });

  it('are forgotten with their server', async () => {
    const test = await Stage.start({ server: deadServer('s1') });
    await until(() => test.checks.lastCheck('web', 's1') !== undefined);
    test.checks.configure();
    expect(test.checks.lastCheck('web', 's1')).toBe('failed: ECONNREFUSED');
    test.takeOutServer();
    expect(test.checks.lastCheck('web', 's1')).toBeUndefined();
  });

  it('are not made of a server that its agent has put into maintenance', async () => {
    let checks = 0;
    const server = await startServer('s1', () => checks++);
    let answers = 0;
    const agent = await startServer('agent', (socket) => {
      answers++;
      socket.end('maint\n');
    });
    const test = await Stage.start({ server, agent });
    await until(() => serving(test.server).admin === 'maint');
    const before = checks;
    await test.until(() => answers === 5);
    expect(checks).toBe(before);
  });
});

class Stage {
  readonly clock = new SocketTestClock();
  readonly checks: HealthChecks;
  service: ServiceConfig;
  readonly #events = new EventLog(() => 0);
  #pool: ServerPool;

  private constructor(server: WorkerServer, agentPort: number | undefined) {
    this.service = serviceOf(server, agentPort);
    this.#pool = createPool([{ name: 's1', address: server.address, port: server.port, weight: 1 }]);
    this.checks = new HealthChecks(
      { ownAddress },
      {
        ...{ clock: this.clock, native, random: { next: () => 0.5 }, logger: silentLogger, events: this.#events },
        services: () => [this.service],
        pool: () => this.#pool,
        store: (_service, { pool }) => (this.#pool = pool),
      },
    );
  }

  static async start({ server, agent }: { server: WorkerServer; agent?: WorkerServer }): Promise<Stage> {
    const stage = new Stage(server, agent?.port);
    await stage.checks.start();
    onTestFinished(() => stage.checks.stop());
    return stage;
  }

  get server(): PoolServer {
    const server = this.#pool.get('s1');
    if (server === undefined) throw new Error('there is s1');
    return server;
  }

  get status() {
    return this.checks.agentStatus(this.service, this.server);
  }

  moveAgent(port: number): void {
    this.service = { ...this.service, agent: { port, address: undefined, interMs: 1_000, send: undefined } };
    this.checks.configure();
  }

  takeOutServer(): void {
    this.#pool = new Map();
    this.checks.configure();
  }

  events(): string[] {
    return this.#events.after(0).map(({ message }) => message);
  }

  /** An interval after the other until it is so. */
  async until(condition: () => boolean): Promise<void> {
    await until(() => {
      this.clock.advance(100);
      return condition();
    });
  }
}

function serviceOf({ address, port }: WorkerServer, agentPort: number | undefined): ServiceConfig {
  const agent = { port: agentPort ?? 0, address: undefined, interMs: 1_000, send: undefined };
  const intervals = { interMs: 1_000, fastinterMs: 1_000, downinterMs: 1_000, timeoutMs: 1_000 };
  return {
    ...{ name: 'web', listen: { address, port: 80 }, mode: 'proxy', balance: 'roundrobin', stick: undefined },
    check: { ...intervals, rise: 1, fall: 1, address: undefined, port: undefined, probe: { kind: 'tcp' } },
    agent: agentPort === undefined ? undefined : agent,
    outlier: undefined,
    frontDoor: {
      ...{ acceptProxy: undefined, sni: undefined, alpn: [], clientHelloTimeoutMs: 5_000, deny: [], allow: undefined },
      ...{ perSource: undefined, maxconn: undefined, backlog: 4_096 },
    },
    queue: { length: 10_000, timeoutMs: 1_000 },
    ...{ allBackups: false, slowStartMs: undefined, onMarkedDown: undefined, drainTimeMs: undefined },
    timeouts: {
      ...{ connectMs: 1_000, clientMs: 0, serverMs: 0 },
      ...{ tunnelMs: undefined, clientFinMs: undefined, serverFinMs: undefined },
    },
    tcp: { noDelay: true, keepalive: undefined, userTimeoutMs: 0 },
    retries: 3,
    servers: [
      { name: 's1', address: { address, port }, weight: 1, maxconn: undefined, backup: false, sendProxy: undefined },
    ],
    ...{ sendProxy: undefined, discoveries: [] },
  };
}
