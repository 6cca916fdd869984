/** What the schema found, as sentences for people. */

import type * as z from 'zod';
import { isMapping } from './draft.ts';
import { nearest } from './nearest.ts';
import { showValue } from './problem.ts';
import type { Finding, Path } from './problem.ts';
import { hintOf, knownKeys, schemaAt } from './schema-walk.ts';

type Issue = z.core.$ZodIssue;

/** Sentences for what the schema refused, in its order. Several rules that one value breaks give the same one. */
export function explainIssues(schema: z.ZodType, file: unknown, issues: readonly Issue[]): readonly Finding[] {
  return issues.flatMap((issue) => explain(schema, file, issue, []));
}

function explain(schema: z.ZodType, file: unknown, issue: Issue, prefix: Path): readonly Finding[] {
  const path = [...prefix, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(schema, path, key));
  if (issue.code === 'invalid_union') {
    // The alternative that was meant is the one that did not already fail by the kind of the value.
    const meant = issue.errors.find((errors) => !errors.some(isOtherKind));
    if (meant !== undefined) return meant.flatMap((inner) => explain(schema, file, inner, path));
  }
  return [badValue(schema, file, path)];
}

function isOtherKind(issue: Issue): boolean {
  return issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value');
}

function unknownKey(schema: z.ZodType, path: Path, key: string): Finding {
  const section = schemaAt(schema, path);
  const known = section === undefined ? [] : knownKeys(section);
  const formerly = section === undefined ? {} : (hintOf(section)?.formerly ?? {});
  const instead = Object.hasOwn(formerly, key) ? formerly[key] : undefined;
  if (instead !== undefined) return { path: [...path, key], at: 'key', what: 'no longer a key', mend: instead };
  const meant = nearest(key, known);
  return {
    path: [...path, key],
    at: 'key',
    what: 'unknown key',
    mend: meant === undefined ? `known here: ${known.join(', ')}` : `did you mean '${meant}'?`,
    meant,
  };
}

function badValue(schema: z.ZodType, file: unknown, path: Path): Finding {
  const value = valueAt(file, path);
  const at = schemaAt(schema, path);
  const hint = at === undefined ? undefined : hintOf(at);
  const example = hint?.example ?? 'another value';
  if (value === undefined)
    return { path, at: 'parent', what: 'missing', mend: `write e.g. ${String(path.at(-1))}: ${example}` };
  const what = `expected ${hint?.expected ?? 'something else'}, got ${showValue(value)}`;
  return { path, at: 'value', what, mend: hint?.advise?.(value) ?? `write e.g. ${example}` };
}

function valueAt(file: unknown, path: Path): unknown {
  return path.reduce<unknown>((value, step) => {
    if (Array.isArray(value)) return value[Number(step)] as unknown;
    return isMapping(value) && Object.hasOwn(value, step) ? value[step] : undefined;
  }, file);
}
