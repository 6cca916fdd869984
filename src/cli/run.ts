import { formatProblem } from '../config/index.ts';
import { checkKeyFiles, loadConfig, readKey } from '../config/io/index.ts';
import type { Config } from '../config/index.ts';
import { TandemNode, nodeOf } from '../node/index.ts';
import type { ExitCode } from './program.ts';

/** Runs a node until it is told to stop: SIGTERM and SIGINT hand over first, a second signal ends it at once. */
export async function run(path: string, nodeName: string | undefined): Promise<ExitCode> {
  const config = await loadOrExplain(path);
  if (config === undefined) return 1;
  const identity = nodeOf(config, path, nodeName);
  const key = config.sync === undefined ? undefined : await readKey(config.sync.keyFile);
  const node = new TandemNode({ config, identity, key, hmacKeys: await readHmacKeys(config) });
  const stopped = untilSignal();
  // Node would end at once; operators of other balancers send it to reload.
  process.on('SIGHUP', () => process.stderr.write('tandem: SIGHUP is ignored; restart to apply a configuration\n'));
  await node.start();
  const exitCode = await Promise.race([stopped.then(() => 0 as const), node.failed.then(() => 1 as const)]);
  await node.stop();
  return exitCode;
}

async function readHmacKeys(config: Config): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = config.virtualRouters.flatMap(({ hmac }) => hmac?.keys ?? []).map(({ keyFile }) => keyFile);
  const keys = new Map<string, Uint8Array>();
  for (const file of files) keys.set(file, await readKey(file));
  return keys;
}

async function loadOrExplain(path: string): Promise<Config | undefined> {
  const loaded = await loadConfig(path);
  const problems = loaded.ok ? await checkKeyFiles(loaded.value, path) : loaded.reason;
  for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  return loaded.ok && problems.length === 0 ? loaded.value : undefined;
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    let isSecond = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (isSecond) process.exit(1);
        isSecond = true;
        resolve();
      });
    }
  });
}
