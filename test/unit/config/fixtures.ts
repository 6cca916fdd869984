import { formatProblem, parseConfig } from '../../../src/config/index.ts';
import type { Config } from '../../../src/config/index.ts';

/** A pair with one service; every mistake in the tests is a change of it. */
export const pair = `nodes:
  - name: lb1
    address: 10.9.0.11
    syncAddress: 10.9.1.11
  - name: lb2
    address: 10.9.0.12
    syncAddress: 10.9.1.12
sync:
  keyFile: /etc/tandem/sync.key
virtualRouters:
  - name: web
    vrid: 51
    interface: eth0
    addresses: [10.9.0.100/24]
services:
  - name: web
    listen: 10.9.0.100:80
    servers:
      - {name: s1, address: '10.9.0.21:8080'}
`;

/** The pair with texts replaced, each of which must be there. */
export function pairWith(...changes: readonly (readonly [from: string, to: string])[]): string {
  return changes.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`nothing to replace: ${from}`);
    return text.replace(from, () => to);
  }, pair);
}

/** The problems as lines. */
export function problemLines(text: string): readonly string[] {
  const parsed = parseConfig(text, 'f');
  return parsed.ok ? [] : parsed.reason.map(formatProblem);
}

export function parsed(text: string): Config {
  const result = parseConfig(text, 'f');
  if (!result.ok) throw new Error(result.reason.map(formatProblem).join('\n'));
  return result.value;
}
