import { OperatorError } from '../runtime/index.ts';
import type { ServiceStatus, StatusDocument } from '../node/index.ts';
import { callNode } from './client.ts';
import type { NodeOptions } from './program.ts';
import { print, printJson } from './render.ts';
import { fetchStatus, renderServers } from './status.ts';

export type Change = {
  readonly service: string;
  readonly server: string;
  readonly action: 'drain' | 'ready' | 'maint' | 'weight';
  readonly weight?: number | undefined;
  readonly overMs?: number | undefined;
};

export async function list(options: NodeOptions, name: string | undefined): Promise<void> {
  const { services } = await fetchStatus(options);
  const wanted = services.filter((service) => name === undefined || service.name === name);
  if (name !== undefined && wanted.length === 0) {
    const known = services.map((service) => service.name).join(', ');
    throw new OperatorError('NO_SUCH_SERVICE', `there is no service ${name}`, `the services are: ${known}`);
  }
  show(options, wanted);
}

export async function change(options: NodeOptions, body: Change): Promise<void> {
  const { services } = await callNode<StatusDocument>(
    { socketDirectory: options.socket, node: options.node },
    { method: 'POST', path: '/server', body },
  );
  show(
    options,
    services.filter((service) => service.name === body.service),
  );
}

function show(options: NodeOptions, services: readonly ServiceStatus[]): void {
  if (options.json === true) printJson(services);
  else print(services.map((service) => `${service.name}\n${renderServers(service)}`).join('\n\n'));
}
