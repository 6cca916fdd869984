import { resolve } from 'node:path';
import { formatProblem } from '../config/index.ts';
import type { ReloadReport } from '../node/index.ts';
import { OperatorError } from '../runtime/index.ts';
import { callNode } from './client.ts';
import type { ExitCode, NodeOptions } from './program.ts';
import { print, printJson } from './render.ts';

export type ReloadOptions = NodeOptions & { readonly config?: string; readonly dryRun?: boolean };

/** As long as workers and virtual routers may take, twice: they may have to be put back. */
const timeoutMs = 60_000;

/** Prints what has changed, or what is wrong with the file; 1 if there is anything. */
export async function reload(options: ReloadOptions): Promise<ExitCode> {
  const { config, dryRun = false } = options;
  if (config !== undefined && !dryRun) {
    const mend = 'leave out --config, or add --dry-run to compare another one';
    throw new OperatorError('OTHER_FILE', 'a node reloads the file that it was started with', mend);
  }
  const body = { dryRun, ...(config === undefined ? {} : { path: resolve(config) }) };
  const report = await callNode<ReloadReport>(
    { socketDirectory: options.socket, node: options.node },
    { method: 'POST', path: '/reload', body, timeoutMs },
  );
  if (options.json === true) printJson(report);
  else print(render(report).join('\n'));
  return report.outcome === 'invalid' ? 1 : 0;
}

function render({ outcome, changes, problems, warnings }: ReloadReport): readonly string[] {
  const lines = changes.map(({ text }) => text);
  const told = warnings.map((warning) => `warning: ${warning}`);
  switch (outcome) {
    case 'invalid':
      return problems.map(formatProblem);
    case 'unchanged':
      return ['nothing has changed', ...told];
    case 'dry-run':
      return [...(lines.length === 0 ? ['nothing would change'] : lines), ...told];
    case 'applied':
      return [...lines, ...told, `reloaded: ${lines.length} ${lines.length === 1 ? 'change' : 'changes'}`];
  }
}
