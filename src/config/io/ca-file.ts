/**
 * The certificates that health checks verify against. A file that cannot be used would take down every server of its
 * service, on both nodes: it is an error of the configuration.
 */

import { X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Config, Path } from '../index.ts';
import { explainFileError } from './file-error.ts';
import type { Flaw } from './file-error.ts';
import { readAtMost } from './read.ts';

/** Some twenty times what browsers trust. */
const caBytesMax = 4 * 1024 * 1024;
const pemStart = '-----BEGIN ';

export async function caFileFlaws(config: Config): Promise<readonly (Flaw & { readonly path: Path })[]> {
  const flaws = await Promise.all(
    caFilesOf(config).map(async ({ path, caFile }) => {
      const flaw = await examine(caFile);
      return flaw === undefined ? [] : [{ path, what: `CA file ${caFile}: ${flaw.what}`, mend: flaw.mend }];
    }),
  );
  return flaws.flat();
}

function caFilesOf({ services }: Config): readonly { readonly path: Path; readonly caFile: string }[] {
  return services.flatMap(({ check }, service) => {
    const caFile = check !== undefined && 'tls' in check.probe ? check.probe.tls?.caFile : undefined;
    return caFile === undefined ? [] : [{ path: ['services', service, 'check', 'tls', 'caFile'], caFile }];
  });
}

async function examine(path: string): Promise<Flaw | undefined> {
  let bytes: Uint8Array;
  try {
    // Non-blocking: a pipe without a writer would hold the opening for ever.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    bytes = await readAtMost(file, caBytesMax);
  } catch (error) {
    return explainFileError(error, 'name a PEM file with the certificates to verify against');
  }
  return isPem(bytes) ? undefined : { what: 'holds no certificate', mend: 'name a file of PEM certificates' };
}

function isPem(bytes: Uint8Array): boolean {
  if (!new TextDecoder('latin1').decode(bytes).includes(pemStart)) return false;
  try {
    return new X509Certificate(bytes).raw.length > 0;
  } catch {
    return false;
  }
}
