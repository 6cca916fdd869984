/** What a node does for its peer when that asks over the sync link: whatever arrives is checked here. */
import { OperatorError } from '../runtime/index.ts';
import type { Plain } from '../sync/index.ts';
import type { FailoverRequest } from './admin-api.ts';
import type { Failover } from './failover.ts';
import type { ServiceManager } from './service-manager.ts';
import type { FailoverReport } from './status-document.ts';
import type { Switchover } from './switchover.ts';

/** Who does it. */
export type PeerServants = {
  readonly switchover: Pick<Switchover, 'takeOver'>;
  readonly failover: Pick<Failover, 'ask'>;
  readonly services: Pick<ServiceManager, 'closeServerConnections'>;
};

type TakeOverRequest = { readonly routers: readonly string[]; readonly timeoutMs: number };

/** As many as a configuration has. */
const routersMax = 1_024;
const timeoutMaxMs = 600_000;

/** Throws OperatorError: `UNKNOWN_REQUEST`, `BAD_REQUEST`, a refusal. The peer gets its text. */
export async function answerPeer(method: string, parameters: Plain, servants: PeerServants): Promise<Plain> {
  switch (method) {
    case 'take-over': {
      const { routers, timeoutMs } = readTakeOver(parameters);
      await servants.switchover.takeOver(routers, timeoutMs);
      return {};
    }
    case 'failover':
      return plainReport(await servants.failover.ask(readFailover(parameters)));
    case 'close-server-connections': {
      const { service, server } = readServerOf(parameters);
      servants.services.closeServerConnections(service, server);
      return {};
    }
    default:
      throw new OperatorError('UNKNOWN_REQUEST', `it does not know the request ${method}`, 'upgrade it');
  }
}

function readTakeOver(parameters: Plain): TakeOverRequest {
  const { routers, timeoutMs } = fieldsOf(parameters);
  return { routers: readRouters(routers), timeoutMs: readTimeout(timeoutMs) };
}

function readFailover(parameters: Plain): FailoverRequest {
  const { to, force, timeoutMs, routers } = fieldsOf(parameters);
  if (to !== undefined && typeof to !== 'string') throw badRequest('to');
  if (typeof force !== 'boolean') throw badRequest('force');
  return {
    to,
    force,
    timeoutMs: readTimeout(timeoutMs),
    ...(routers === undefined ? {} : { routers: readRouters(routers) }),
  };
}

function readServerOf(parameters: Plain): { readonly service: string; readonly server: string } {
  const { service, server } = fieldsOf(parameters);
  if (typeof service !== 'string') throw badRequest('service');
  if (typeof server !== 'string') throw badRequest('server');
  return { service, server };
}

/** Without the fields that are undefined: they have no form on the wire. */
function plainReport({ gapMs, ...report }: FailoverReport): Plain {
  return { ...report, ...(gapMs === undefined ? {} : { gapMs }) };
}

function readRouters(value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length > routersMax) throw badRequest('routers');
  if (!value.every((router): router is string => typeof router === 'string')) throw badRequest('routers');
  return value;
}

function readTimeout(value: unknown): number {
  if (typeof value !== 'number' || !(value > 0 && value <= timeoutMaxMs)) throw badRequest('timeoutMs');
  return value;
}

function fieldsOf(parameters: Plain): Readonly<Record<string, unknown>> {
  if (typeof parameters !== 'object' || parameters === null) throw badRequest('parameters');
  return parameters as Readonly<Record<string, unknown>>;
}

function badRequest(field: string): OperatorError {
  return new OperatorError(
    'BAD_REQUEST',
    `the request's ${field} cannot be read`,
    'run the same version on both nodes',
  );
}
