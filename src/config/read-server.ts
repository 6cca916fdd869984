/** A server that an operator adds to a running node: the same keys and defaults as in the file. */

import { fail, ok } from '../base/index.ts';
import type { Result } from '../base/index.ts';
import type { ServerConfig } from './config.ts';
import { serverOrDiscovery } from './dns-schema.ts';
import { explainIssues } from './explain.ts';
import { formatPath } from './problem.ts';
import { server } from './schema.ts';

/** Fails with the first thing that is wrong: "weight: expected a number from 0 to 256, got 999". */
export function readServer(fields: unknown): Result<ServerConfig, string> {
  const read = server.safeParse(fields);
  if (read.success) {
    const entry = serverOrDiscovery(read.data);
    return 'server' in entry ? ok(entry.server) : fail('a name of DNS is for the file');
  }
  const [finding] = explainIssues(server, fields, read.error.issues);
  return fail(finding === undefined ? 'it cannot be read' : `${formatPath(finding.path)}: ${finding.what}`);
}
