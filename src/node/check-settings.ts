/** What is checked of a service's servers, in the proxy's words, and what their agents make of the weights. */
import { fromHex } from '../base/index.ts';
import type { ExpectStepConfig, ProbeConfig, ServiceConfig } from '../config/index.ts';
import { serving, weightMax } from '../proxy/index.ts';
import type { CheckConfig, ExpectStep, PoolServer, ProbeSpec, ServerPool } from '../proxy/index.ts';
import type { CheckTarget } from '../proxy/io/index.ts';
import { sourceFor } from './own-address.ts';

const checkJitter = 0.1;

/**
 * Health checks of servers that are not in maintenance, from the node's own address. They begin with a PROXY protocol
 * header where the server's connections do, unless they go to another place (as HAProxy's, without check-send-proxy).
 */
export function checkTargets(service: ServiceConfig, pool: ServerPool, ownAddress: string): readonly CheckTarget[] {
  const { check } = service;
  if (check === undefined) return [];
  const { interMs, fastinterMs, downinterMs, timeoutMs, rise, fall } = check;
  const timing: CheckConfig = { interMs, fastinterMs, downinterMs, timeoutMs, rise, fall, jitter: checkJitter };
  const probe = probeSpec(check.probe);
  return [...pool.values()]
    .filter((server) => serving(server).admin !== 'maint')
    .map((server) => {
      const own = configured(service, server);
      const address = own?.checkAddress ?? check.address ?? server.address;
      const port = own?.checkPort ?? check.port ?? server.port;
      const isElsewhere = address !== server.address || port !== server.port;
      const sendProxy = isElsewhere ? undefined : (server.sendProxy ?? service.sendProxy);
      return { ...place(service, server, address, port, ownAddress), sendProxy, check: timing, probe };
    });
}

/** Questions to the agents, also of servers in maintenance: only an agent takes back what it has said. */
export function agentTargets(service: ServiceConfig, pool: ServerPool, ownAddress: string): readonly CheckTarget[] {
  const { agent } = service;
  if (agent === undefined) return [];
  const { interMs, send } = agent;
  const intervals = { interMs, fastinterMs: interMs, downinterMs: interMs, timeoutMs: interMs };
  const timing: CheckConfig = { ...intervals, rise: 1, fall: 1, jitter: checkJitter };
  return [...pool.values()].map((server) => {
    const address = agent.address ?? server.address;
    const port = configured(service, server)?.agentPort ?? agent.port;
    return { ...place(service, server, address, port, ownAddress), check: timing, probe: { kind: 'agent', send } };
  });
}

/**
 * The weights for the workers by server, whole numbers in 0..256. Where there are agents all weights are multiplied by
 * as much as fits: 75 % of the weight 1 must not be rounded to nothing, or to all.
 */
export function workerWeights(service: ServiceConfig, pool: ServerPool): ReadonlyMap<string, number> {
  const weights = [...pool.values()].map((server) => [server.name, serving(server).weight] as const);
  const greatest = Math.max(1, ...weights.map(([, weight]) => weight));
  const scale = service.agent === undefined ? 1 : weightMax / greatest;
  return new Map(weights.map(([name, weight]) => [name, weight === 0 ? 0 : Math.max(1, Math.round(weight * scale))]));
}

function place({ name }: ServiceConfig, server: PoolServer, address: string, port: number, ownAddress: string) {
  return { service: name, server: server.name, address, port, source: sourceFor(address, ownAddress) };
}

function configured(service: ServiceConfig, server: PoolServer) {
  return service.servers.find(({ name }) => name === server.name);
}

function probeSpec(probe: ProbeConfig): ProbeSpec {
  return probe.kind === 'expect' ? { ...probe, steps: probe.steps.map(stepOf) } : probe;
}

function stepOf({ kind, form, value }: ExpectStepConfig): ExpectStep {
  if (form === 'hex') return { kind, bytes: fromHex(value), label: value };
  return { kind, bytes: new TextEncoder().encode(value), label: value.trim() === '' ? 'white space' : value.trim() };
}
