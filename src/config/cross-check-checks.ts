/** A health check asks for what its type can do, and has the time for it. */

import { formatDuration } from './duration.ts';
import type { Draft, FileDraft } from './draft.ts';
import type { Finding, Path } from './problem.ts';
import type { ConfigFile } from './schema.ts';

type CheckDraft = Draft<Exclude<ConfigFile['services'][number]['check'], false>>;
type Type = NonNullable<CheckDraft['type']>;

/** Keys that not every type has. */
const typesOf = {
  method: ['http'],
  path: ['http'],
  host: ['http'],
  expectStatus: ['http'],
  expectBody: ['http'],
  tls: ['tls', 'http', 'expect'],
  steps: ['expect'],
  command: ['command'],
} as const satisfies Readonly<Record<string, readonly Type[]>>;

/** Keys without which a type can do nothing. */
const neededBy = {
  expect: ['steps', '[{send: "PING\\r\\n"}, {expect: +PONG}]'],
  command: ['command', '/usr/local/bin/check-server'],
} as const;

export function checkChecks(file: FileDraft): readonly Finding[] {
  return (file.services ?? []).flatMap((service, index) => {
    const check = service?.check;
    if (check === undefined || check === false) return [];
    const path: Path = ['services', index, 'check'];
    return [...timeoutFindings(check, path), ...strangeKeys(check, path), ...missingKeys(check, path)];
  });
}

export function checkOutliers(file: FileDraft): readonly Finding[] {
  return (file.services ?? []).flatMap((service, index) => {
    const { ejectionTime, ejectionTimeMax } = service?.outlier ?? {};
    if (ejectionTime === undefined || ejectionTimeMax === undefined || ejectionTime <= ejectionTimeMax) return [];
    return [
      {
        path: ['services', index, 'outlier', 'ejectionTimeMax'],
        at: 'value',
        what: `less than ejectionTime, ${formatDuration(ejectionTime)}`,
        mend: `write at least ${formatDuration(ejectionTime)}`,
      } as const,
    ];
  });
}

function timeoutFindings({ inter, timeout }: CheckDraft, path: Path): readonly Finding[] {
  if (inter === undefined || timeout === undefined || timeout <= inter) return [];
  return [
    {
      path: [...path, 'timeout'],
      at: 'value',
      what: `a check would last ${formatDuration(timeout)}, longer than inter, ${formatDuration(inter)}`,
      mend: `write at most ${formatDuration(inter)}, or a longer inter`,
    },
  ];
}

function strangeKeys(check: CheckDraft, path: Path): readonly Finding[] {
  const { type } = check;
  if (type === undefined) return [];
  return Object.entries(typesOf).flatMap(([key, types]) => {
    const isThere = check[key as keyof typeof typesOf] !== undefined;
    if (!isThere || (types as readonly Type[]).includes(type)) return [];
    const what = `a check of type ${type} does nothing with it`;
    return [
      { path: [...path, key], at: 'key', what, mend: `write type: ${types.join(' or ')}, or leave it out` } as const,
    ];
  });
}

function missingKeys(check: CheckDraft, path: Path): readonly Finding[] {
  const { type } = check;
  if (type !== 'expect' && type !== 'command') return [];
  const [key, example] = neededBy[type];
  if (check[key] !== undefined) return [];
  const what = `missing, and type: ${type} needs it`;
  return [{ path: [...path, key], at: 'parent', what, mend: `write e.g. ${key}: ${example}` }];
}
