/** Ports of this host, and the peer's: who listens, and who can be reached. */
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { formatEndpoint } from '../../base/index.ts';
import type { Config } from '../../config/index.ts';
import { systemClock } from '../../runtime/index.ts';
import type { NodeIdentity } from '../settings.ts';
import { doubtful, failing, well } from './finding.ts';
import type { Finding } from './finding.ts';
import { isTaken, readListeners } from './listening.ts';
import type { Listener } from './listening.ts';

const connectTimeoutMs = 1_000;

type Wanted = Listener & { readonly whose: string };

/** Whether the ports are free; a node that runs here already has them. */
export async function checkPorts(config: Config, identity: NodeIdentity): Promise<readonly Finding[]> {
  const { self } = identity;
  const isRunning = (await tryConnect({ path: join(config.admin.socket, `${self.name}.sock`) })) === 'connected';
  if (isRunning) return [well('ports', `${self.name} runs here, and has its ports`)];
  const texts = await Promise.all(['tcp', 'tcp6'].map((file) => readFile(`/proc/net/${file}`, 'utf8').catch(() => '')));
  const listeners = texts.flatMap((text) => readListeners(text));
  return portsOf(config, identity).map(({ whose, ...endpoint }) => {
    const place = `${formatEndpoint(endpoint.address, endpoint.port)} (${whose})`;
    if (!isTaken(listeners, endpoint)) return well('ports', `${place} is free`);
    return failing('ports', `${place} is taken`, 'stop the other program (ss -ltnp shows it), or choose another port');
  });
}

/** That the peer is absent is no fault of this host, but its addresses may be. */
export async function checkPeer({ sync }: Config, { self, peer }: NodeIdentity): Promise<readonly Finding[]> {
  if (peer === undefined || sync === undefined) return [well('peer', 'a single node has none')];
  const { syncAddress: host } = peer;
  const place = `${peer.name}, ${formatEndpoint(host, sync.port)}`;
  const outcome = await tryConnect({ host, port: sync.port, localAddress: self.syncAddress });
  if (outcome === 'connected') return [well('peer', `${place} can be reached`)];
  const mend =
    outcome === 'ECONNREFUSED'
      ? `start Tandem on ${peer.name}, if it is not meant to be off`
      : `look at the sync network, and let TCP ${sync.port} through`;
  return [doubtful('peer', `${place}: ${outcome}`, mend)];
}

function portsOf({ services, sync, admin }: Config, { self }: NodeIdentity): readonly Wanted[] {
  return [
    ...services.map(({ name, listen }) => ({ ...listen, whose: `service ${name}` })),
    ...(sync === undefined ? [] : [{ address: self.syncAddress, port: sync.port, whose: 'sync' }]),
    ...(admin.listen === undefined ? [] : [{ ...admin.listen, whose: 'admin' }]),
  ];
}

type Target =
  { readonly path: string } | { readonly host: string; readonly port: number; readonly localAddress: string };

/** "connected", an errno name, or "no answer". */
function tryConnect(target: Target): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(target);
    const end = (outcome: string): void => {
      timer.cancel();
      socket.destroy();
      resolve(outcome);
    };
    const timer = systemClock.after(connectTimeoutMs, () => end('no answer'));
    socket.once('connect', () => end('connected'));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}
