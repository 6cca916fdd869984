/** What is wrong with a file, for the person who has to mend it. */
export type Problem = {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 code units as editors count them. */
  readonly column: number;
  /** "virtualRouters[0].vrid"; empty for the whole file. */
  readonly path: string;
  readonly what: string;
  readonly mend: string;
};

/** A way into the file: keys and list indices. */
export type Path = readonly (string | number)[];

/** A problem that does not know yet where in the text its path is. */
export type Finding = {
  readonly path: Path;
  /** What of the path to point at: the value, the key before it, or (for a key that is absent) the mapping around. */
  readonly at: 'value' | 'key' | 'parent';
  readonly what: string;
  readonly mend: string;
  /** For an unknown key: the known one that was probably meant. */
  readonly meant?: string | undefined;
};

/** One line: `file:line:column: path: what; mend`. */
export function formatProblem(problem: Problem): string {
  const place = `${problem.file}:${problem.line}:${problem.column}`;
  const path = problem.path === '' ? '' : `${problem.path}: `;
  return `${place}: ${path}${problem.what}; ${problem.mend}`;
}

/** "services[0].check.inter" */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? step : `${text}.${step}`;
  }, '');
}

/** In the order in which they stand in the file; several at one place by their paths. */
export function sortProblems(problems: readonly Problem[]): readonly Problem[] {
  return problems.toSorted((a, b) => a.line - b.line || a.column - b.column || compareText(a.path, b.path));
}

/**
 * Drops what only follows from something else: a key is not "missing" when it is there with a wrong value, nor when
 * it is there under a misspelt name.
 */
export function withoutConsequences(findings: readonly Finding[]): readonly Finding[] {
  const explained = new Set<string>();
  for (const finding of findings) {
    if (finding.at !== 'parent') explained.add(formatPath(finding.path));
    if (finding.meant !== undefined) explained.add(formatPath([...finding.path.slice(0, -1), finding.meant]));
  }
  return findings.filter((finding) => finding.at !== 'parent' || !explained.has(formatPath(finding.path)));
}

/** A value as it stands in the file, short enough for one line. */
export function showValue(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'object') return 'a mapping';
  if (typeof value !== 'string') return JSON.stringify(value);
  const oneLine = JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"');
  return `'${oneLine.length > 60 ? `${oneLine.slice(0, 57)}...` : oneLine}'`;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
