import { OperatorError } from '../runtime/index.ts';
import type { ServiceStatus, StatusDocument } from '../node/index.ts';
import { callNode } from './client.ts';
import type { NodeOptions } from './program.ts';
import { print, printJson } from './render.ts';
import { fetchStatus, renderServers } from './status.ts';

export type NewServer = {
  readonly service: string;
  readonly name: string;
  readonly address: string;
  readonly weight?: number | undefined;
};

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
  await post(options, '/server', body.service, body);
}

export async function add(options: NodeOptions, body: NewServer): Promise<void> {
  await post(options, '/server/add', body.service, body);
}

export async function remove(
  options: NodeOptions,
  body: { readonly service: string; readonly server: string; readonly force: boolean },
): Promise<void> {
  await post(options, '/server/remove', body.service, body);
}

async function post(options: NodeOptions, path: string, service: string, body: object): Promise<void> {
  const { services } = await callNode<StatusDocument>(
    { socketDirectory: options.socket, node: options.node },
    { method: 'POST', path, body },
  );
  show(
    options,
    services.filter(({ name }) => name === service),
  );
}

function show(options: NodeOptions, services: readonly ServiceStatus[]): void {
  if (options.json === true) printJson(services);
  else print(services.map((service) => `${service.name}\n${renderServers(service)}`).join('\n\n'));
}
