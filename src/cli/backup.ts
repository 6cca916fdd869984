import { createReadStream } from 'node:fs';
import { access, constants } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { extractConfig, saveBackup } from '../node/index.ts';
import type { RestoreReport } from '../node/index.ts';
import { OperatorError } from '../runtime/index.ts';
import { callNode, streamFromNode } from './client.ts';
import type { NodeOptions } from './program.ts';
import { byteCount, print, printJson } from './render.ts';

export type BackupOptions = NodeOptions & { readonly withKeys?: boolean; readonly force?: boolean };
export type RestoreOptions = NodeOptions & { readonly config?: string; readonly force?: boolean };

/** A full stick table takes a few seconds on either side. */
const timeoutMs = 60_000;

/** Writes the backup to a file. */
export async function backup(options: BackupOptions, file: string): Promise<void> {
  const { withKeys = false, force = false } = options;
  const path = resolve(file);
  const ask = (): Promise<Readable> =>
    streamFromNode(
      { socketDirectory: options.socket, node: options.node },
      { method: 'GET', path: `/backup?keys=${withKeys ? 1 : 0}`, timeoutMs },
    );
  const bytes = await saveBackup(ask, { path, force });
  if (options.json === true) printJson({ file: path, bytes, withKeys });
  else print(`${path}: ${byteCount(bytes)}, ${withKeys ? 'with keys' : 'without keys'}`);
}

/** To the running node; with `config`, the configuration and the keys to files instead. */
export async function restore(options: RestoreOptions, file: string): Promise<void> {
  const { config, force = false } = options;
  const path = resolve(file);
  if (config !== undefined) {
    const files = await extractConfig(path, { path: resolve(config), force });
    if (options.json === true) printJson({ files });
    else print(files.map((name) => `${name}: restored`).join('\n'));
    return;
  }
  await access(path, constants.R_OK).catch((cause: unknown) => {
    throw new OperatorError('FILE', `${path} cannot be read`, 'name a backup', { cause });
  });
  const report = await callNode<RestoreReport>(
    { socketDirectory: options.socket, node: options.node },
    { method: 'POST', path: '/restore', stream: createReadStream(path), timeoutMs },
  );
  if (options.json === true) printJson(report);
  else print(render(report));
}

function render({ overrides, servers, sticks, expired }: RestoreReport): string {
  const left = expired === 0 ? '' : ` (${expired} more have expired since)`;
  return `restored: overrides ${overrides}, added servers ${servers}, sticky clients ${sticks}${left}`;
}
