/**
 * The operator's door: HTTP/JSON on a UNIX socket that only its owner may open, and a group if there is one for it. The
 * same status is served read-only, without anything that changes the node, on `admin.listen` for monitoring.
 */
import { rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { Readable } from 'node:stream';
import { fastify } from 'fastify';
import type { FastifyHttpOptions, FastifyInstance } from 'fastify';
import { OperatorError } from '../runtime/index.ts';
import type { Clock, Native, Service } from '../runtime/index.ts';
import type { NewServer } from './added-servers.ts';
import { adminGroupId, listenPrivately, prepareSocket } from './admin-socket.ts';
import type { RestoreReport } from './durability/restore.ts';
import type { EventLog, NodeEvent } from './events.ts';
import type { ServerAction } from './overrides.ts';
import type { ReloadReport, ReloadRequest } from './reloader.ts';
import type { FailoverReport, StatusDocument } from './status-document.ts';
import type { StickList, StickQuery } from './stick-commands.ts';

export type FailoverRequest = {
  /** The node that shall be active; undefined: the one that is not. */
  readonly to: string | undefined;
  readonly force: boolean;
  /** Also to a peer that has another configuration; everything else is asked for as without `force`. */
  readonly mayDiffer?: boolean;
  readonly timeoutMs: number;
  /** Only these virtual routers, of those that the other node holds; undefined: all of them. */
  readonly routers?: readonly string[] | undefined;
};

/** What the API can ask the node to do. Refusals are thrown as OperatorError. */
export type NodeControl = {
  status(): Promise<StatusDocument>;
  failover(request: FailoverRequest): Promise<FailoverReport>;
  setServer(service: string, server: string, change: ServerAction): void;
  reload(request: ReloadRequest): Promise<ReloadReport>;
  addServer(server: NewServer): void;
  removeServer(service: string, server: string, force: boolean): Promise<void>;
  sticks(wanted: StickQuery): StickList;
  clearSticks(service: string, source: string | undefined): number;
  metrics(): Promise<string>;
  backup(withKeys: boolean): Promise<AsyncIterable<Uint8Array>>;
  restore(pieces: AsyncIterable<Uint8Array>): Promise<RestoreReport>;
};

export type AdminOptions = {
  readonly socketPath: string;
  /** Whose members may open it as well. */
  readonly group: string | undefined;
  readonly listen: { readonly address: string; readonly port: number } | undefined;
};

/** Requests carry a name or a number: more is not asked for. */
const bodyBytesMax = 16_384;
/** A stick table that is full, thrice. */
const backupBytesMax = 512 * 1024 * 1024;
const backupType = 'application/x-ndjson';
const longPollMs = 25_000;

/**
 * The read-only port is in reach of whoever is on its network. Scrapers come every few seconds, a few of them, and take
 * what they asked for; who does not has a connection taken from it, and cannot take it from others for long.
 */
const readOnlyLimits = {
  connectionsMax: 64,
  headerBytesMax: 8_192,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  /** Without a byte in either direction. */
  silenceMs: 10_000,
  keepAliveMs: 75_000,
  checkEveryMs: 1_000,
};

export class AdminApi implements Service {
  readonly name = 'admin API';
  readonly #options: AdminOptions;
  readonly #control: NodeControl;
  readonly #events: EventLog;
  readonly #clock: Clock;
  readonly #native: Native;
  readonly #servers: FastifyInstance[] = [];

  constructor(
    options: AdminOptions,
    dependencies: { control: NodeControl; events: EventLog; clock: Clock; native: Native },
  ) {
    this.#options = options;
    this.#control = dependencies.control;
    this.#events = dependencies.events;
    this.#clock = dependencies.clock;
    this.#native = dependencies.native;
  }

  async start(): Promise<void> {
    await this.#startOnSocket();
    try {
      if (this.#options.listen !== undefined) await this.#startReadOnly(this.#options.listen);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.close()));
    await rm(this.#options.socketPath, { force: true });
  }

  async #startOnSocket(): Promise<void> {
    const { socketPath: path, group } = this.#options;
    const groupId = group === undefined ? undefined : adminGroupId(group, this.#native);
    await prepareSocket(path);
    const server = this.#createServer();
    this.#addReadRoutes(server);
    this.#addWriteRoutes(server);
    this.#addReload(server);
    this.#addSticks(server);
    this.#addServers(server);
    this.#addBackup(server);
    await listenPrivately(path, groupId, () => server.listen({ path }));
  }

  async #startReadOnly(listen: { address: string; port: number }): Promise<void> {
    const server = this.#createServer({
      connectionTimeout: readOnlyLimits.silenceMs,
      requestTimeout: readOnlyLimits.requestTimeoutMs,
      keepAliveTimeout: readOnlyLimits.keepAliveMs,
      http: {
        headersTimeout: readOnlyLimits.headersTimeoutMs,
        maxHeaderSize: readOnlyLimits.headerBytesMax,
        connectionsCheckingInterval: readOnlyLimits.checkEveryMs,
      },
    });
    server.server.maxConnections = readOnlyLimits.connectionsMax;
    server.addHook('onRequest', async ({ method }, reply) => {
      if (method === 'GET' || method === 'HEAD') return;
      await reply.code(405).header('allow', 'GET, HEAD').send({ error: 'this port is for reading' });
    });
    this.#addReadRoutes(server);
    try {
      await server.listen({ host: listen.address, port: listen.port });
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
      throw new OperatorError(
        'ADMIN_LISTEN',
        `admin.listen ${listen.address}:${listen.port}: ${code}`,
        'choose a free port on an address of this host',
        { cause },
      );
    }
  }

  #createServer(limits: FastifyHttpOptions<Server> = {}): FastifyInstance {
    // Connections that are kept alive would hold up the end of the process.
    const server = fastify({ ...limits, logger: false, bodyLimit: bodyBytesMax, forceCloseConnections: true });
    server.setErrorHandler((error, _request, reply) => {
      if (error instanceof OperatorError) return reply.code(409).send({ error: error.message, mend: error.mend });
      const status = (error as { statusCode?: number }).statusCode ?? 500;
      return reply.code(status).send({ error: error instanceof Error ? error.message : String(error) });
    });
    this.#servers.push(server);
    return server;
  }

  #addReadRoutes(server: FastifyInstance): void {
    server.get('/status', () => this.#control.status());
    server.get('/healthz', async (_request, reply) => {
      const status = await this.#control.status();
      const faults = status.virtualRouters.filter((router) => router.state === 'initialize').map(({ name }) => name);
      return reply.code(faults.length === 0 ? 200 : 503).send({ ok: faults.length === 0, faults });
    });
    server.get('/metrics', async (_request, reply) =>
      reply.type('text/plain; version=0.0.4; charset=utf-8').send(await this.#control.metrics()),
    );
  }

  #addWriteRoutes(server: FastifyInstance): void {
    server.get<{ Querystring: { after?: string; wait?: string } }>('/events', (request) =>
      this.#eventsAfter(Number(request.query.after ?? 0), request.query.wait === '1', request.raw),
    );
    server.post<{ Body: Partial<FailoverRequest> }>('/failover', { schema: failoverSchema }, (request) =>
      this.#control.failover({
        to: request.body.to,
        force: request.body.force ?? false,
        timeoutMs: request.body.timeoutMs ?? 10_000,
        routers: request.body.routers,
      }),
    );
    server.post<{ Body: ServerAction & { service: string; server: string } }>(
      '/server',
      { schema: serverSchema },
      async (request) => {
        const { service, server: name, ...change } = request.body;
        this.#control.setServer(service, name, change);
        return this.#control.status();
      },
    );
  }

  #addReload(server: FastifyInstance): void {
    server.post<{ Body: { path?: string; dryRun?: boolean } }>('/reload', { schema: reloadSchema }, (request) =>
      this.#control.reload({ path: request.body.path, isDryRun: request.body.dryRun ?? false }),
    );
  }

  #addServers(server: FastifyInstance): void {
    server.post<{ Body: NewServer }>('/server/add', { schema: newServerSchema }, async (request) => {
      this.#control.addServer(request.body);
      return this.#control.status();
    });
    server.post<{ Body: { service: string; server: string; force?: boolean } }>(
      '/server/remove',
      { schema: oldServerSchema },
      async (request) => {
        const { service, server: name, force = false } = request.body;
        await this.#control.removeServer(service, name, force);
        return this.#control.status();
      },
    );
  }

  /** A backup travels as it is in its file, piece by piece: it may be larger than memory has room for twice. */
  #addBackup(server: FastifyInstance): void {
    server.addContentTypeParser(backupType, (_request, payload, done) => done(null, payload));
    server.get<{ Querystring: { keys?: string } }>('/backup', async (request, reply) =>
      reply.type(backupType).send(Readable.from(await this.#control.backup(request.query.keys === '1'))),
    );
    server.post<{ Body: Readable }>('/restore', { bodyLimit: backupBytesMax }, async (request) => {
      try {
        return await this.#control.restore(request.body.iterator({ destroyOnReturn: false }));
      } finally {
        // A client that still sends would not look at the answer.
        request.body.resume();
      }
    });
  }

  #addSticks(server: FastifyInstance): void {
    server.get<{ Querystring: StickQuery }>('/sticks', { schema: stickQuerySchema }, async (request) => {
      const { service, source } = request.query;
      return Promise.resolve(this.#control.sticks({ service, source }));
    });
    server.post<{ Body: { service: string; source?: string } }>(
      '/sticks/clear',
      { schema: stickClearSchema },
      async (request) => {
        const { service, source } = request.body;
        return Promise.resolve({ cleared: this.#control.clearSticks(service, source) });
      },
    );
  }

  /** With `wait`, answers when there is at least one event, or with none after a while: a follower asks again. */
  async #eventsAfter(sequence: number, wait: boolean, request: NodeJS.EventEmitter): Promise<readonly NodeEvent[]> {
    const events = this.#events.after(sequence);
    if (events.length > 0 || !wait) return events;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        unfollow();
        timer.cancel();
        resolve();
      };
      const unfollow = this.#events.follow(done);
      const timer = this.#clock.after(longPollMs, done);
      request.once('close', done);
    });
    return this.#events.after(sequence);
  }
}

const failoverSchema = {
  body: {
    type: 'object',
    additionalProperties: false,
    properties: {
      to: { type: 'string', maxLength: 64 },
      force: { type: 'boolean' },
      timeoutMs: { type: 'number', minimum: 100, maximum: 600_000 },
      routers: { type: 'array', minItems: 1, maxItems: 1_024, items: { type: 'string', maxLength: 64 } },
    },
  },
};

const reloadSchema = {
  body: {
    type: 'object',
    additionalProperties: false,
    properties: { path: { type: 'string', maxLength: 4_096 }, dryRun: { type: 'boolean' } },
  },
};

const newServerSchema = {
  body: {
    type: 'object',
    additionalProperties: false,
    required: ['service', 'name', 'address'],
    properties: {
      service: { type: 'string', maxLength: 64 },
      name: { type: 'string', maxLength: 64 },
      address: { type: 'string', maxLength: 64 },
      weight: { type: 'integer' },
    },
  },
};
const oldServerSchema = {
  body: {
    type: 'object',
    additionalProperties: false,
    required: ['service', 'server'],
    properties: {
      service: { type: 'string', maxLength: 64 },
      server: { type: 'string', maxLength: 128 },
      force: { type: 'boolean' },
    },
  },
};

const stickNames = { service: { type: 'string', maxLength: 64 }, source: { type: 'string', maxLength: 64 } };
const stickQuerySchema = { querystring: { type: 'object', additionalProperties: false, properties: stickNames } };
const stickClearSchema = {
  body: { type: 'object', additionalProperties: false, required: ['service'], properties: stickNames },
};

const serverSchema = {
  body: {
    type: 'object',
    additionalProperties: false,
    required: ['service', 'server', 'action'],
    properties: {
      service: { type: 'string', maxLength: 64 },
      server: { type: 'string', maxLength: 128 },
      action: { enum: ['drain', 'ready', 'maint', 'weight'] },
      weight: { type: 'integer', minimum: 0, maximum: 256 },
      overMs: { type: 'number', minimum: 0, maximum: 604_800_000 },
    },
  },
};
