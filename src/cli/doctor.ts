import { examine, nodeOf } from '../node/index.ts';
import type { Finding } from '../node/index.ts';
import { formatProblem } from '../config/index.ts';
import { loadConfig } from '../config/io/index.ts';
import type { ExitCode } from './program.ts';
import { print, printJson, table } from './render.ts';

/** Says what this machine gives to the node, a line each; 1 if the node could not run. */
export async function doctor(path: string, nodeName: string | undefined, json: boolean): Promise<ExitCode> {
  const loaded = await loadConfig(path);
  const findings = loaded.ok
    ? await examine(loaded.value, nodeOf(loaded.value, path, nodeName))
    : loaded.reason.map((problem): Finding => ({
        level: 'fail',
        check: 'config',
        text: formatProblem(problem),
        mend: undefined,
      }));
  if (json) printJson(findings);
  else
    print(
      table(
        findings.map(({ level, check, text, mend }) => [level, check, mend === undefined ? text : `${text}; ${mend}`]),
      ),
    );
  return findings.some(({ level }) => level === 'fail') ? 1 : 0;
}
