/** The YAML document: its own mistakes, its values, and where in the text each of them stands. */

import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import type { Document, Node, Pair, YAMLError } from 'yaml';
import type { Finding, Path } from './problem.ts';

export type Position = { readonly line: number; readonly column: number };

export type SyntaxProblem = Position & { readonly what: string; readonly mend: string };

export type ConfigDocument = {
  readonly syntaxProblems: readonly SyntaxProblem[];
  /** Whether the values are what their writer meant. If not, what they break says nothing. */
  readonly readable: boolean;
  /** Plain values; undefined for a document without any, or with aliases that lead nowhere. */
  readonly value: unknown;
  /** Where a finding points to; what is not there itself, to the nearest that is around it. */
  positionOf(path: Path, at: Finding['at']): Position;
};

/** Mistakes after which the rest of the document still reads as written. */
const harmless: ReadonlySet<string> = new Set(['DUPLICATE_KEY', 'BAD_SCALAR_START']);

const mends: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'keep one of them',
  TAB_AS_INDENT: 'indent with spaces',
  TAG_RESOLVE_FAILED: 'leave out the tag',
  BAD_SCALAR_START: 'put the value in quotes',
  MULTIPLE_DOCS: 'keep one document',
};

export function readDocument(text: string): ConfigDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const errors = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0]);
  const positionAt = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const syntaxProblems = trueErrors(errors, (error) => positionAt(error.pos[0]).line).map((error) =>
    syntaxProblem(error, positionAt(error.pos[0])),
  );
  const aliasProblems = deadAliases(document).map((alias) => ({
    ...positionAt(startOf(alias) ?? 0),
    what: 'the alias leads nowhere',
    mend: 'set its anchor before it',
  }));
  const readable = aliasProblems.length === 0 && errors.every((error) => harmless.has(error.code));
  return {
    syntaxProblems: [...syntaxProblems, ...aliasProblems],
    readable,
    // Aliases are shared, not copied, and the file is the operator's own: no limit on their number.
    value: readable ? (document.toJS({ maxAliasCount: -1 }) as unknown) : undefined,
    positionOf: (path, at) => positionAt(offsetOf(document, path, at)),
  };
}

function syntaxProblem(error: YAMLError, position: Position): SyntaxProblem {
  const message = error.message.replace(/\s+/g, ' ').replace(/^[A-Z](?=[a-z ])/, (letter) => letter.toLowerCase());
  const what = error.code === 'MULTIPLE_DOCS' ? 'a second document begins here' : message;
  return { ...position, what, mend: mends[error.code] ?? 'mend the YAML here or just before' };
}

/**
 * One slip often confuses the reader of YAML several times over. The first error of each line is the true one, and
 * after one that breaks the structure only those of its kind are, such as a tab on every line.
 */
function trueErrors(errors: readonly YAMLError[], lineOf: (error: YAMLError) => number): readonly YAMLError[] {
  const breaking = errors.find((error) => !harmless.has(error.code));
  const lines = new Set<number>();
  return errors.filter((error) => {
    const isTrue = (harmless.has(error.code) || error.code === breaking?.code) && !lines.has(lineOf(error));
    lines.add(lineOf(error));
    return isTrue;
  });
}

function deadAliases(document: Document.Parsed): readonly Node[] {
  const dead: Node[] = [];
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) === undefined) dead.push(alias);
    },
  });
  return dead;
}

function offsetOf(document: Document.Parsed, path: Path, at: Finding['at']): number {
  let node: Node | undefined = document.contents ?? undefined;
  let offset = startOf(node) ?? 0;
  for (const [index, step] of (at === 'parent' ? path.slice(0, -1) : path).entries()) {
    const container = isAlias(node) ? node.resolve(document) : node;
    const isLast = index === path.length - 1;
    const pair = isMap(container) ? pairOf(container.items as readonly Pair<Node, Node | null>[], step) : undefined;
    if (pair !== undefined && ((isLast && at === 'key') || isEmpty(pair.value))) return startOf(pair.key) ?? offset;
    node = pair?.value ?? (isSeq(container) ? (container.items[Number(step)] as Node | undefined) : undefined);
    offset = startOf(node) ?? offset;
    if (node === undefined) break;
  }
  return offset;
}

/** The last one counts when a key is there twice, as it does for its value. */
function pairOf(pairs: readonly Pair<Node, Node | null>[], key: string | number): Pair<Node, Node | null> | undefined {
  return pairs.findLast((pair) => isScalar(pair.key) && String(pair.key.value) === String(key));
}

/** Nothing written after the colon: there is only the key to point at. */
function isEmpty(value: Node | null): boolean {
  return value === null || (isScalar(value) && value.value === null && value.source === '');
}

function startOf(node: Node | undefined): number | undefined {
  return node?.range?.[0];
}
