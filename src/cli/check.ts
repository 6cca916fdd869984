import { writeFile } from 'node:fs/promises';
import { formatProblem, jsonSchemaText } from '../config/index.ts';
import { checkKeyFile, loadConfig } from '../config/io/index.ts';
import type { ExitCode } from './program.ts';
import { print, printJson } from './render.ts';

/** Prints every problem of a file on a line of its own; 1 if there is any. */
export async function check(path: string, json: boolean): Promise<ExitCode> {
  const loaded = await loadConfig(path);
  const problems = loaded.ok ? await checkKeyFile(loaded.value, path) : loaded.reason;
  if (json) printJson({ ok: problems.length === 0, problems });
  else if (problems.length === 0) print(`${path}: no problem`);
  else print(problems.map(formatProblem).join('\n'));
  return problems.length === 0 ? 0 : 1;
}

/** The JSON Schema for editors, printed or written to a file. */
export async function schema(output: string | undefined): Promise<void> {
  if (output === undefined) process.stdout.write(jsonSchemaText());
  else await writeFile(output, jsonSchemaText());
}
