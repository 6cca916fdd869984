import type { NodeEvent } from '../node/index.ts';
import { callNode } from './client.ts';
import type { NodeOptions } from './program.ts';
import { print } from './render.ts';

/** Prints events oldest first, one a line; as JSON one object a line, so that a follower can be piped. */
export async function events(options: NodeOptions, follow: boolean): Promise<void> {
  const target = { socketDirectory: options.socket, node: options.node };
  let after = 0;
  for (let wait = false; ; wait = follow) {
    const path = `/events?after=${after}${wait ? '&wait=1' : ''}`;
    const list = await callNode<readonly NodeEvent[]>(target, { method: 'GET', path, timeoutMs: 60_000 });
    for (const event of list) {
      print(options.json === true ? JSON.stringify(event) : render(event));
      after = event.sequence;
    }
    if (!follow) return;
  }
}

function render(event: NodeEvent): string {
  return `${new Date(event.wallMs).toISOString()}  ${event.kind.padEnd(10)}  ${event.message}`;
}
