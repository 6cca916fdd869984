/** Looks at what this machine gives to the node of a configuration. Nothing is changed, bound or sent on the LAN. */
import { readFile } from 'node:fs/promises';
import { configWarnings } from '../../config/index.ts';
import type { Config } from '../../config/index.ts';
import { keyFilesOf, readKey, readSyncKeys } from '../../config/io/index.ts';
import { OperatorError, loadNative } from '../../runtime/index.ts';
import { adminGroupId } from '../admin-socket.ts';
import type { NodeIdentity } from '../settings.ts';
import { checkPeer, checkPorts } from './endpoints.ts';
import { checkAccessLog } from './files.ts';
import { keyId } from '../../sync/io/index.ts';
import type { SyncKeys } from '../../sync/io/index.ts';
import { doubtful, failing, well } from './finding.ts';
import type { Finding } from './finding.ts';
import { checkNetwork } from './network.ts';
import { checkPrivileges, checkScheduling } from './privileges.ts';
import { checkState } from './state.ts';

export async function examine(config: Config, identity: NodeIdentity): Promise<readonly Finding[]> {
  const status = await readFile('/proc/self/status', 'utf8');
  const limits = await readFile('/proc/self/limits', 'utf8');
  return [
    ...configWarnings(config).map((warning) => doubtful('config', warning, 'take it out when you can')),
    ...checkPrivileges(config, status, limits),
    ...(await checkKeys(config)),
    ...(await checkAccessLog(config)),
    ...checkAdminGroup(config),
    ...(await checkState(config)),
    ...(await checkNetwork(config, identity)),
    ...(await checkPorts(config, identity)),
    ...(await checkPeer(config, identity)),
    // Last: from here on this process has real-time priority, if it may.
    ...checkScheduling(),
  ];
}

function checkAdminGroup({ admin: { group } }: Config): readonly Finding[] {
  if (group === undefined) return [];
  try {
    adminGroupId(group, loadNative());
    return [well('admin', `the group ${group} may use the admin socket`)];
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return [failing('admin', error.message, error.mend)];
  }
}

function checkKeys(config: Config): Promise<readonly Finding[]> {
  return Promise.all(
    keyFilesOf(config).map(async ({ path, keyFile }) => {
      try {
        if (path[0] === 'sync') return syncKeysFinding(keyFile, await readSyncKeys(keyFile));
        await readKey(keyFile);
        return well('key', keyFile);
      } catch (error) {
        if (!(error instanceof OperatorError)) throw error;
        return failing('key', error.message, error.mend);
      }
    }),
  );
}

/** The ids are the same on both nodes where the keys are. */
function syncKeysFinding(keyFile: string, keys: SyncKeys): Finding {
  return well('key', `${keyFile}: ${keys.map(keyId).join(', then ')}`);
}
