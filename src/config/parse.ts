/** The way from the file's text to the configuration, or to everything that is wrong with it. */

import { fail, ok } from '../base/index.ts';
import type { Result } from '../base/index.ts';
import { configOf } from './config.ts';
import type { Config } from './config.ts';
import { crossCheck } from './cross-checks.ts';
import { readDocument } from './document.ts';
import type { Position } from './document.ts';
import { draftOf } from './draft.ts';
import { explainIssues } from './explain.ts';
import { formatPath, formatProblem, sortProblems, withoutConsequences } from './problem.ts';
import type { Finding, Path, Problem } from './problem.ts';
import { fileSchema } from './schema.ts';
import type { ConfigFile } from './schema.ts';

/**
 * Reads the text of a configuration file; `fileName` is only named in problems. Fails with all problems at once,
 * sorted by their place: what YAML refuses, what the schema refuses, and what does not fit together. Where the YAML
 * is so broken that values cannot be trusted, only that is reported.
 */
export function parseConfig(text: string, fileName: string): Result<Config, readonly Problem[]> {
  const document = readDocument(text);
  const syntax = document.syntaxProblems.map((problem) => ({ file: fileName, path: '', ...problem }));
  if (!document.readable) return fail(sortProblems(syntax));
  if (document.value === null) return fail([emptyFile(fileName)]);

  const { file, findings } = checkFile(document.value);
  const found = findings.map((finding) => ({
    file: fileName,
    ...document.positionOf(finding.path, finding.at),
    path: formatPath(finding.path),
    what: finding.what,
    mend: finding.mend,
  }));
  const problems = sortProblems([...syntax, ...onceEach(found.filter((problem) => !isAnyAt(syntax, problem)))]);
  return file === undefined || problems.length > 0 ? fail(problems) : ok(configOf(file));
}

/** Where in the text a value stands, for problems that only show outside of it. Line 1 if it is not there. */
export function locate(text: string, path: Path): Position {
  return readDocument(text).positionOf(path, 'value');
}

function checkFile(value: unknown): { file: ConfigFile | undefined; findings: readonly Finding[] } {
  const read = fileSchema.safeParse(value);
  if (read.success) return { file: read.data, findings: crossCheck(read.data) };
  const draft = draftOf(fileSchema, value) ?? {};
  const findings = [...explainIssues(fileSchema, value, read.error.issues), ...crossCheck(draft)];
  return { file: undefined, findings: withoutConsequences(findings) };
}

function emptyFile(fileName: string): Problem {
  return {
    file: fileName,
    line: 1,
    column: 1,
    path: '',
    what: 'the file says nothing',
    mend: 'start from deploy/examples/pair.yaml',
  };
}

function isAnyAt(problems: readonly Problem[], place: Position): boolean {
  return problems.some(({ line, column }) => line === place.line && column === place.column);
}

/** One value may break several rules, and a mistake behind an anchor is found again through every alias. */
function onceEach(problems: readonly Problem[]): readonly Problem[] {
  const byText = new Map(problems.toReversed().map((problem) => [formatProblem({ ...problem, path: '' }), problem]));
  return [...byText.values()];
}
