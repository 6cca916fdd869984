/** The stage that the demo and the pair's tests share: a lab with servers, and the two nodes, ready to be used. */

import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { formatEndpoint } from '../../src/base/index.ts';
import type { NodeEvent, StatusDocument } from '../../src/node/index.ts';
import type { ForgeryKind } from './forge.ts';
import type { Lab } from './lab.ts';
import type { LabProcess } from './lab-process.ts';
import type { ProberReport } from './prober.ts';
import { pairConfig, serverPort, servicePort, startNode } from './tandem.ts';
import type { ConfigOverrides, TandemNode } from './tandem.ts';
import { waitUntil } from './time.ts';
import { runProgram, startProber, startServer } from './tools.ts';
import type { ProberHandle, ServerHandle } from './tools.ts';
import { virtualAddress } from './topology.ts';

export type Pair = { readonly lb1: TandemNode; readonly lb2: TandemNode };
export type Roles = { readonly active: TandemNode; readonly standby: TandemNode };

export type BalancerName = keyof Pair;
const balancers: readonly BalancerName[] = ['lb1', 'lb2'];

/** The lab's servers, each saying its own name. */
export function startServers(lab: Lab, names: readonly string[] = ['s1', 's2', 's3']): Promise<ServerHandle[]> {
  return Promise.all(names.map((name) => startServer(lab.host(name), { port: serverPort })));
}

/** Where nginx speaks TLS besides, and with what: paths of files in PEM. */
export type TlsOptions = { readonly port: number; readonly certificate: string; readonly key: string };

/** Real nginx servers, each with the same files from a directory; on `port` of s1 to s3. Answers name their server. */
export async function startFileServers(
  lab: Lab,
  directory: string,
  port: number,
  tls?: TlsOptions,
): Promise<LabProcess[]> {
  const servers = ['s1', 's2', 's3'].map((name) => {
    const path = join(lab.directory, `nginx-${name}.conf`);
    writeFileSync(path, nginxConfig(lab, name, [`listen ${port}`, `root ${directory}`, ...tlsLines(tls)]));
    return lab.host(name).spawn(['nginx', '-p', lab.directory, '-c', path, '-e', 'stderr']);
  });
  await Promise.all(servers.map((server, index) => waitUntilListening(lab, `s${index + 1}`, server, port)));
  return servers;
}

/** Both nodes run, lb1 is active and they are in sync. */
export async function startPair(lab: Lab, overrides: ConfigOverrides = {}): Promise<Pair> {
  const config = pairConfig(lab, overrides);
  const lb1 = await startNode(lab, 'lb1', config);
  await waitForState(lb1, 'active');
  const lb2 = await startNode(lab, 'lb2', config);
  await waitForState(lb2, 'backup');
  await waitForSync(lb1);
  await waitForSync(lb2);
  return { lb1, lb2 };
}

export async function statusOf(node: TandemNode): Promise<StatusDocument> {
  return (await ask(node, '/status')) as StatusDocument;
}

/** What happened on the node since it was started, oldest first. */
export async function eventsOf(node: TandemNode): Promise<readonly NodeEvent[]> {
  return (await ask(node, '/events')) as readonly NodeEvent[];
}

/** The node's changes of state since it was started: "backup -> active (active-silent)". */
export async function transitionsOf(node: TandemNode): Promise<readonly string[]> {
  const transitions = (await eventsOf(node)).filter(({ kind }) => kind === 'transition');
  return transitions.map(({ message }) => message.replace(/^\S+: /, ''));
}

/** The balancers that have the virtual address on an interface, whatever they think of themselves. */
export async function holders(lab: Lab, address: string = virtualAddress): Promise<readonly BalancerName[]> {
  const has = await Promise.all(balancers.map((name) => lab.host(name).hasAddress(address)));
  return balancers.filter((_, index) => has[index]);
}

/** The pair by who has the virtual address; waits until it is exactly one. */
export async function rolesOf(lab: Lab, pair: Pair): Promise<Roles> {
  const holder = await waitUntil(
    async () => {
      const [first, ...others] = await holders(lab);
      return others.length === 0 && first;
    },
    { timeoutMs: 10_000, what: 'exactly one node has the virtual address' },
  );
  return holder === 'lb1' ? { active: pair.lb1, standby: pair.lb2 } : { active: pair.lb2, standby: pair.lb1 };
}

/** Waits until the node alone has the virtual address, serves, and the client's frames for it go there. */
export async function waitForHolder(
  lab: Lab,
  node: TandemNode,
  timeoutMs = 10_000,
  address: string = virtualAddress,
): Promise<void> {
  const { name } = node.host;
  const look = async (): Promise<true> => {
    const holding = await holders(lab, address);
    if (holding.join() !== name) throw new Error(`the address is on: ${holding.join()}`);
    const server = await whoServes(lab, servicePort, address);
    const holder = await holderForClient(lab, address);
    if (holder !== name) throw new Error(`${server} serves, but the client goes to ${holder ?? 'nobody'}`);
    return true;
  };
  await waitUntil(look, { timeoutMs, what: `${name} alone has the virtual address, and serves` });
}

/** Waits until every virtual router of the node is in that state. */
export async function waitForState(node: TandemNode, state: 'active' | 'backup' | 'initialize'): Promise<void> {
  await waitUntil(async () => (await statusOf(node)).virtualRouters.every((router) => router.state === state), {
    timeoutMs: 15_000,
    everyMs: 50,
    what: `${node.host.name} is ${state}`,
  });
}

/** Waits until the node has a peer, and both have all that the other one has; and until its servers are up. */
export async function waitForSync(node: TandemNode): Promise<void> {
  await waitUntil(
    async () => {
      const { peer, services } = await statusOf(node);
      const isUp = services.every(({ servers }) => servers.every(({ health }) => health !== 'down'));
      return peer?.inSync === true && isUp;
    },
    { timeoutMs: 15_000, everyMs: 50, what: `${node.host.name} is in sync and its servers are up` },
  );
}

/** Waits until the node has accepted so many more adverts: time in which it could have acted on them. */
export async function hearAdverts(node: TandemNode, count: number): Promise<void> {
  const heard = async (): Promise<number> =>
    (await statusOf(node)).virtualRouters[0]?.counters['advertsReceived'] ?? Number.NaN;
  const before = await heard();
  await waitUntil(async () => (await heard()) >= before + count, {
    timeoutMs: 10_000,
    what: `${node.host.name} hears ${count} adverts`,
  });
}

/** The client opens a connection to the virtual address every other millisecond from now on. */
export function probeService(lab: Lab, options: { intervalMs?: number; port?: number } = {}): Promise<ProberHandle> {
  const { intervalMs = 2, port = servicePort } = options;
  return startProber(lab.host('client'), { address: virtualAddress, port, intervalMs, timeoutMs: 1_000 });
}

/** The longest time without service, less what the prober itself slept through of it. */
export function certainGapMs({ longestGap }: ProberReport): number {
  return longestGap === undefined ? 0 : Math.max(0, longestGap.ms - longestGap.pauseMs);
}

/** The name of the server that answers a new connection of the client's. */
export async function whoServes(
  lab: Lab,
  port: number = servicePort,
  address: string = virtualAddress,
): Promise<string> {
  const url = `http://${formatEndpoint(address, port)}/who`;
  const { stdout, stderr, code } = await lab.host('client').exec(['curl', '-sS', '-m', '3', url]);
  if (code !== 0) throw new Error(`${url}: ${stderr.trim()}`);
  return stdout.trim();
}

/** The host whose MAC address the client has for the virtual address; undefined if it has none, or has not asked. */
export async function holderForClient(lab: Lab, wanted: string = virtualAddress): Promise<string | undefined> {
  const entry = (await lab.host('client').neighbours()).find(({ address }) => address === wanted);
  if (entry?.mac === undefined) return undefined;
  for (const host of lab.hosts) {
    const links = (await host.execJson(['ip', '-j', 'link', 'show', 'lan0'])) as { address: string }[];
    if (links[0]?.address === entry.mac) return host.name;
  }
  return undefined;
}

/** A third host sends so many adverts for the pair's virtual router that no router of the pair would send. */
export async function sendForged(lab: Lab, kind: ForgeryKind, count: number): Promise<void> {
  await runProgram(lab.host('s3'), 'forge.ts', [kind, '10.9.0.23', '51', virtualAddress, String(count)]);
}

/** As a power cut would: every process of the host is killed and its cables are dead. */
export async function powerOff(lab: Lab, node: TandemNode): Promise<void> {
  const { name } = node.host;
  // Nothing is said while the cables go, one after the other.
  node.host.killAll('SIGSTOP');
  await Promise.all([lab.cut(name, 'lan'), lab.cut(name, 'sync')]);
  node.host.killAll('SIGKILL');
}

/** The host is there again, and its node. */
export async function powerOn(lab: Lab, node: TandemNode, overrides: ConfigOverrides = {}): Promise<TandemNode> {
  const { name } = node.host;
  await Promise.all([lab.heal(name, 'lan'), lab.heal(name, 'sync')]);
  const started = await startNode(lab, name, pairConfig(lab, overrides));
  await waitForState(started, 'backup');
  await waitForSync(started);
  return started;
}

/** Takes back every fault of the lab, starts nodes that have ended, and waits until the pair is healthy. */
export async function makeWhole(lab: Lab, pair: Pair, overrides: ConfigOverrides = {}): Promise<Pair> {
  for (const host of balancers) {
    for (const network of ['lan', 'sync']) {
      await lab.heal(host, network);
      await lab.unblock(host, network);
      await lab.loss(host, network, 0);
    }
  }
  const config = pairConfig(lab, overrides);
  const revive = (node: TandemNode): TandemNode | Promise<TandemNode> =>
    node.process.exit === undefined ? node : startNode(lab, node.host.name, config);
  const whole = { lb1: await revive(pair.lb1), lb2: await revive(pair.lb2) };
  const { active, standby } = await rolesOf(lab, whole);
  await waitForState(active, 'active');
  await waitForState(standby, 'backup');
  await waitForSync(active);
  await waitForSync(standby);
  await waitForHolder(lab, active);
  return whole;
}

/** Asks the node's admin API: quicker than the command line, which has tests of its own. */
function ask(node: TandemNode, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: node.socketPath, path, timeout: 5_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${node.host.name}: ${path}: HTTP ${response.statusCode ?? 0}: ${text}`));
      });
      response.on('error', reject);
    });
    asked.on('error', reject);
    asked.on('timeout', () => asked.destroy(new Error(`${node.host.name}: ${path}: no answer`)));
    asked.end();
  });
}

async function waitUntilListening(lab: Lab, host: string, server: LabProcess, port: number): Promise<void> {
  const isUp = async (): Promise<boolean> =>
    server.exit !== undefined || (await lab.host(host).exec(['curl', '-s', `http://127.0.0.1:${port}/`])).code === 0;
  await waitUntil(isUp, { timeoutMs: 10_000, what: `${host} listens on port ${port}` });
  if (server.exit !== undefined) throw new Error(server.describe('ended at once'));
}

function tlsLines(tls: TlsOptions | undefined): readonly string[] {
  if (tls === undefined) return [];
  const { port, certificate, key } = tls;
  const versions = 'ssl_protocols TLSv1.2 TLSv1.3';
  return [`listen ${port} ssl http2`, versions, `ssl_certificate ${certificate}`, `ssl_certificate_key ${key}`];
}

function nginxConfig(lab: Lab, name: string, serverLines: readonly string[]): string {
  return `
    daemon off;
    master_process off;
    user root;
    pid ${join(lab.directory, `nginx-${name}.pid`)};
    events {}
    http {
      access_log off;
      client_body_temp_path ${lab.directory};
      proxy_temp_path ${lab.directory};
      fastcgi_temp_path ${lab.directory};
      uwsgi_temp_path ${lab.directory};
      scgi_temp_path ${lab.directory};
      add_header X-Server ${name};
      server { ${serverLines.map((line) => `${line};`).join(' ')} }
    }`;
}
