import type { StickList } from '../node/index.ts';
import { callNode } from './client.ts';
import type { NodeOptions } from './program.ts';
import { duration, print, printJson, table } from './render.ts';

export type StickListOptions = NodeOptions & { readonly source?: string };

/** Which server each client goes to. */
export async function list(options: StickListOptions, service: string | undefined): Promise<void> {
  const query = new URLSearchParams({
    ...(service === undefined ? {} : { service }),
    ...(options.source === undefined ? {} : { source: options.source }),
  });
  const sticks = await callNode<StickList>(
    { socketDirectory: options.socket, node: options.node },
    { method: 'GET', path: `/sticks?${query.toString()}` },
  );
  if (options.json === true) printJson(sticks);
  else print(render(sticks));
}

/** One client of a service, or all. */
export async function clear(options: NodeOptions, service: string, source: string | undefined): Promise<void> {
  const answer = await callNode<{ readonly cleared: number }>(
    { socketDirectory: options.socket, node: options.node },
    { method: 'POST', path: '/sticks/clear', body: { service, ...(source === undefined ? {} : { source }) } },
  );
  if (options.json === true) printJson(answer);
  else print(`${service}: ${answer.cleared} cleared`);
}

function render({ total, entries }: StickList): string {
  const rows = entries.map(({ service, source, server, expiresInMs }) => [
    service,
    source,
    server,
    duration(expiresInMs),
  ]);
  const text = table([['SERVICE', 'SOURCE', 'SERVER', 'EXPIRES IN'], ...rows]);
  const rest = total - entries.length;
  return rest === 0 ? text : `${text}\nand ${rest} more: name a service, or a --source`;
}
