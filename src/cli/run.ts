import { resolve } from 'node:path';
import { formatProblem } from '../config/index.ts';
import { checkNamedFiles, loadConfig, readKey, readSyncKeys } from '../config/io/index.ts';
import type { Config, Problem } from '../config/index.ts';
import { TandemNode, nodeOf } from '../node/index.ts';
import type { Loaded } from '../node/index.ts';
import { OperatorError } from '../runtime/index.ts';
import { fail, ok } from '../base/index.ts';
import type { Result } from '../base/index.ts';
import type { ExitCode } from './program.ts';

/** Runs a node until it is told to stop: SIGTERM and SIGINT hand over first, a second one ends it; SIGHUP reloads. */
export async function run(path: string, nodeName: string | undefined): Promise<ExitCode> {
  const loaded = await readConfig(path);
  if (!loaded.ok) {
    for (const problem of loaded.reason) process.stderr.write(`${formatProblem(problem)}\n`);
    return 1;
  }
  const identity = nodeOf(loaded.value.config, path, nodeName);
  const node = new TandemNode({ ...loaded.value, identity, path: resolve(path), readConfig });
  const stopped = untilSignal();
  process.on('SIGHUP', () => void reload(node));
  await node.start();
  const exitCode = await Promise.race([stopped.then(() => 0 as const), node.failed.then(() => 1 as const)]);
  if (!(await node.stop())) endAtOnce(exitCode);
  return exitCode;
}

/** By a signal, which asks no thread. To systemd SIGTERM is an orderly end and SIGKILL a failure. */
function endAtOnce(exitCode: ExitCode): void {
  process.removeAllListeners('SIGTERM');
  process.kill(process.pid, exitCode === 0 ? 'SIGTERM' : 'SIGKILL');
}

/** What came of it is in the log and among the events; what is wrong with the file is said here as at the start. */
async function reload(node: TandemNode): Promise<void> {
  try {
    const { problems } = await node.reload();
    for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    process.stderr.write(`tandem: ${error.line}\n`);
  }
}

async function readConfig(path: string): Promise<Result<Loaded, readonly Problem[]>> {
  const loaded = await loadConfig(path);
  if (!loaded.ok) return loaded;
  const config = loaded.value;
  const problems = await checkNamedFiles(config, path);
  if (problems.length > 0) return fail(problems);
  const syncKeys = config.sync === undefined ? undefined : await readSyncKeys(config.sync.keyFile);
  return ok({ config, syncKeys, hmacKeys: await readHmacKeys(config) });
}

async function readHmacKeys(config: Config): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = config.virtualRouters.flatMap(({ hmac }) => hmac?.keys ?? []).map(({ keyFile }) => keyFile);
  const keys = new Map<string, Uint8Array>();
  for (const file of files) keys.set(file, await readKey(file));
  return keys;
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
