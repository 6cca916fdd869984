import type { FailoverReport } from '../node/index.ts';
import { callNode } from './client.ts';
import type { ExitCode, NodeOptions } from './program.ts';
import { duration, print, printJson } from './render.ts';

export type FailoverOptions = NodeOptions & {
  readonly to?: string;
  readonly router?: readonly string[];
  readonly force?: boolean;
  readonly timeout: number;
};

export async function failover(options: FailoverOptions): Promise<ExitCode> {
  const report = await callNode<FailoverReport>(
    { socketDirectory: options.socket, node: options.node },
    {
      method: 'POST',
      path: '/failover',
      body: {
        to: options.to,
        routers: options.router,
        force: options.force === true,
        timeoutMs: options.timeout,
      },
      timeoutMs: options.timeout + 5_000,
    },
  );
  if (options.json === true) printJson(report);
  else print(render(report));
  return 0;
}

function render(report: FailoverReport): string {
  const gap = report.gapMs === undefined ? 'not measured: no service to connect to' : duration(report.gapMs);
  return [
    `${report.to} is active now (was ${report.from}): ${report.virtualRouters.join(', ')}`,
    `  done in               ${duration(report.durationMs)}`,
    `  time without service  ${gap}`,
    `  connections           ${report.connectionsMoved} moved, ${report.connectionsReset} reset`,
  ].join('\n');
}
