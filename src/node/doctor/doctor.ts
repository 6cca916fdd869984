/** Looks at what this machine gives to the node of a configuration. Nothing is changed, bound or sent on the LAN. */
import { readFile } from 'node:fs/promises';
import { configWarnings } from '../../config/index.ts';
import type { Config } from '../../config/index.ts';
import { keyFilesOf, readKey } from '../../config/io/index.ts';
import { OperatorError } from '../../runtime/index.ts';
import type { NodeIdentity } from '../settings.ts';
import { checkPeer, checkPorts } from './endpoints.ts';
import { checkAccessLog } from './files.ts';
import { doubtful, failing, well } from './finding.ts';
import type { Finding } from './finding.ts';
import { checkNetwork } from './network.ts';
import { checkPrivileges, checkScheduling } from './privileges.ts';

export async function examine(config: Config, identity: NodeIdentity): Promise<readonly Finding[]> {
  const status = await readFile('/proc/self/status', 'utf8');
  const limits = await readFile('/proc/self/limits', 'utf8');
  return [
    ...configWarnings(config).map((warning) => doubtful('config', warning, 'take it out when you can')),
    ...checkPrivileges(config, status, limits),
    ...(await checkKeys(config)),
    ...(await checkAccessLog(config)),
    ...(await checkNetwork(config, identity)),
    ...(await checkPorts(config, identity)),
    ...(await checkPeer(config, identity)),
    // Last: from here on this process has real-time priority, if it may.
    ...checkScheduling(),
  ];
}

function checkKeys(config: Config): Promise<readonly Finding[]> {
  return Promise.all(
    keyFilesOf(config).map(async ({ keyFile }) => {
      try {
        await readKey(keyFile);
        return well('key', keyFile);
      } catch (error) {
        if (!(error instanceof OperatorError)) throw error;
        return failing('key', error.message, error.mend);
      }
    }),
  );
}
