/** The file of the admin socket: whoever may write to it may do all that an operator may. */
import { chmod, chown, mkdir, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { OperatorError, errno, errnoName } from '../runtime/index.ts';
import type { Native } from '../runtime/index.ts';

/**
 * Makes place for the socket: its directory is there and nobody else's, and what a killed node has left is gone. Throws
 * OperatorError `ADMIN_SOCKET`, or `ALREADY_RUNNING` when a node answers there.
 */
export async function prepareSocket(path: string): Promise<void> {
  await makeDirectory(dirname(path));
  if (await isAnswering(path)) {
    throw new OperatorError('ALREADY_RUNNING', `a node is running already on ${path}`, 'stop it, or choose --node');
  }
  await rm(path, { force: true });
}

/** The number of `admin.group`. Throws OperatorError `ADMIN_GROUP` unless this host has it. */
export function adminGroupId(name: string, native: Pick<Native, 'groupId'>): number {
  const id = native.groupId(name);
  if (id >= 0) return id;
  const what = id === errno.noEntry ? 'this host has no such group' : errnoName(id);
  throw new OperatorError('ADMIN_GROUP', `admin.group ${name}: ${what}`, `groupadd ${name}, or name another group`);
}

/** Binds with `listen`, so that the socket is never open to more than its owner, and to the group once it is right. */
export async function listenPrivately(
  path: string,
  groupId: number | undefined,
  listen: () => Promise<unknown>,
): Promise<void> {
  // Not even for the moment between bind and chmod.
  const previousMask = process.umask(0o177);
  try {
    await listen();
  } catch (cause) {
    throw socketError(path, cause);
  } finally {
    process.umask(previousMask);
  }
  await chmod(path, 0o600);
  if (groupId === undefined) return;
  try {
    await chown(path, process.geteuid?.() ?? 0, groupId);
    await chmod(path, 0o660);
  } catch (cause) {
    const what = `admin.group: ${path} cannot be given to the group: ${codeOf(cause)}`;
    throw new OperatorError('ADMIN_GROUP', what, 'run as root, or as a member of the group', { cause });
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o755 });
  } catch (cause) {
    throw socketError(path, cause);
  }
  const { mode } = await stat(path);
  const isOpen = (mode & 0o002) !== 0;
  const isSticky = (mode & 0o1000) !== 0;
  if (!isOpen || isSticky) return;
  const octal = (mode & 0o7777).toString(8);
  const what = `admin.socket ${path}: every user could put a socket of its own there (mode ${octal})`;
  throw new OperatorError('ADMIN_SOCKET', what, `chmod 755 ${path}`);
}

function socketError(path: string, cause: unknown): OperatorError {
  const mend = 'name a directory that can be written';
  return new OperatorError('ADMIN_SOCKET', `admin.socket ${path}: ${codeOf(cause)}`, mend, { cause });
}

function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'unknown error';
}
