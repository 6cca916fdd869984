/** For programs that build labs: without root they run again as root of a user namespace, where that is permitted. */

import { spawnSync } from 'node:child_process';

const enteredMark = 'TANDEM_LAB_ENTERED';

export function mayMakeNamespaces(): boolean {
  return process.getuid?.() === 0 || process.env[enteredMark] !== undefined;
}

/** Runs this program once more where it may make namespaces, and answers its exit code. */
export function enterNamespace(): number {
  const script = new URL('enter.sh', import.meta.url).pathname;
  const { status } = spawnSync(script, [process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, [enteredMark]: '1' },
  });
  return status ?? 1;
}
