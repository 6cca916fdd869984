/** Where state is kept: whether this host has room for it. */
import type { Config } from '../../config/index.ts';
import { stateDirectoryFlaw } from '../../config/io/index.ts';
import { doubtful, well } from './finding.ts';
import type { Finding } from './finding.ts';

/** A node runs without it, so nothing of it is a failure. */
export async function checkState({ state }: Config): Promise<readonly Finding[]> {
  if (state === undefined) return [well('state', 'nothing is kept on disk (state: false)')];
  const flaw = await stateDirectoryFlaw(state.directory);
  return [flaw === undefined ? well('state', state.directory) : doubtful('state', flaw.what, flaw.mend)];
}
