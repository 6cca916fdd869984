/** A server is an address or a name; what belongs to the one does not go with the other. */

import type { FileDraft } from './draft.ts';
import type { Finding, Path } from './problem.ts';

type ServerDraft = {
  readonly address?: unknown;
  readonly resolve?: unknown;
  readonly srv?: unknown;
  readonly port?: unknown;
  readonly hold?: unknown;
};

const kinds = ['address', 'resolve', 'srv'] as const;

export function checkServerKinds(file: FileDraft): readonly Finding[] {
  return (file.services ?? []).flatMap((service, index) =>
    (service?.servers ?? []).flatMap((server, item) =>
      server === undefined ? [] : checkKind(server, ['services', index, 'servers', item]),
    ),
  );
}

function checkKind(server: ServerDraft, path: Path): readonly Finding[] {
  const [first, second] = kinds.filter((kind) => server[kind] !== undefined);
  if (first === undefined) return [missing(path, isNamed(server) ? 'resolve' : 'address')];
  if (second !== undefined) {
    const what = `a server has either ${first} or ${second}`;
    return [{ path: [...path, second], at: 'key', what, mend: 'leave one of them out' }];
  }
  if (first === 'resolve') return server.port === undefined ? [missing(path, 'port')] : [];
  const source = first === 'srv' ? 'the SRV records say the port' : 'the port is part of address';
  return [
    ...(server.port === undefined ? [] : [superfluous(path, 'port', source)]),
    ...(first === 'srv' || server.hold === undefined ? [] : [superfluous(path, 'hold', 'an address does not go away')]),
  ];
}

/** With a port of its own, or a hold, it was meant to be a name. */
function isNamed({ port, hold }: ServerDraft): boolean {
  return port !== undefined || hold !== undefined;
}

const examples = { address: "'10.9.0.21:8080'", resolve: 'app.example.internal', port: '8080' } as const;

function missing(path: Path, key: keyof typeof examples): Finding {
  return { path: [...path, key], at: 'parent', what: 'missing', mend: `write e.g. ${key}: ${examples[key]}` };
}

function superfluous(path: Path, key: string, what: string): Finding {
  return { path: [...path, key], at: 'key', what, mend: 'leave it out' };
}
