import { writeFile } from 'node:fs/promises';
import { configWarnings, formatProblem, jsonSchemaText } from '../config/index.ts';
import { checkNamedFiles, loadConfig } from '../config/io/index.ts';
import type { ExitCode } from './program.ts';
import { print, printJson } from './render.ts';

/** Prints every problem of a file on a line of its own; 1 if there is any. Warnings are no problems. */
export async function check(path: string, json: boolean): Promise<ExitCode> {
  const loaded = await loadConfig(path);
  const problems = loaded.ok ? await checkNamedFiles(loaded.value, path) : loaded.reason;
  const warnings = loaded.ok ? configWarnings(loaded.value) : [];
  if (json) printJson({ ok: problems.length === 0, problems, warnings });
  else if (problems.length === 0) print(`${path}: no problem`);
  else print(problems.map(formatProblem).join('\n'));
  if (!json && warnings.length > 0) print(warnings.map((warning) => `${path}: warning: ${warning}`).join('\n'));
  return problems.length === 0 ? 0 : 1;
}

/** The JSON Schema for editors, printed or written to a file. */
export async function schema(output: string | undefined): Promise<void> {
  if (output === undefined) process.stdout.write(jsonSchemaText());
  else await writeFile(output, jsonSchemaText());
}
