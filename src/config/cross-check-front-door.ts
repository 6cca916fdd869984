/** Services that share an address and port: who gets which client must be plain, and what they share the same. */

import { formatEndpoint } from '../base/index.ts';
import { findRepeats } from './cross-check-names.ts';
import type { Draft, FileDraft } from './draft.ts';
import { formatPath } from './problem.ts';
import type { Finding, Path } from './problem.ts';
import type { ConfigFile } from './schema.ts';

type ServiceDraft = Draft<ConfigFile['services'][number]>;

/** What is settled before it is known whose a client is. */
const sharedKeys = ['acceptProxy', 'clientHelloTimeout', 'backlog', 'keepalive', 'noDelay', 'tcpUserTimeout'] as const;

export function checkFrontDoors(file: FileDraft): readonly Finding[] {
  return [...checkDefaults(file), ...checkServerNames(file), ...checkShared(file), ...checkProtocols(file)];
}

/** One service at most takes what no other one does. */
function checkDefaults(file: FileDraft): readonly Finding[] {
  const places = (file.services ?? []).map((service, index) => ({
    key: service?.sni === undefined ? listenOf(service) : undefined,
    path: ['services', index, 'listen'],
  }));
  return findRepeats(places, (firstPath) => ({
    what: `${formatPath(firstPath.slice(0, -1))} listens there already`,
    mend: 'choose another port or address, or tell them apart by sni',
  }));
}

function checkServerNames(file: FileDraft): readonly Finding[] {
  const places = (file.services ?? []).flatMap((service, index) =>
    (service?.sni ?? []).flatMap((name, item) => {
      const path: Path = ['services', index, 'sni', item];
      const listen = listenOf(service);
      if (listen === undefined || name === undefined) return [];
      return (service?.alpn ?? ['']).map((protocol) => ({ key: [listen, name, protocol].join(' '), path }));
    }),
  );
  return findRepeats(places, (firstPath) => ({
    what: `${formatPath(firstPath)} is the same name, for the same clients`,
    mend: 'keep one of them, or tell them apart by alpn',
  }));
}

function checkShared(file: FileDraft): readonly Finding[] {
  const services = file.services ?? [];
  return services.flatMap((service, index) => {
    const listen = listenOf(service);
    const first = services.findIndex((other) => listenOf(other) === listen);
    if (listen === undefined || first === index) return [];
    return sharedKeys.flatMap((key) => {
      if (JSON.stringify(service?.[key]) === JSON.stringify(services[first]?.[key])) return [];
      const what = `services[${first}], on the same address and port, has it otherwise`;
      const at = service?.[key] === undefined ? 'parent' : 'value';
      return [{ path: ['services', index, key], at, what, mend: 'write the same in both' } as const];
    });
  });
}

function checkProtocols(file: FileDraft): readonly Finding[] {
  return (file.services ?? []).flatMap((service, index) => {
    if (service?.alpn === undefined || service.sni !== undefined) return [];
    const path: Path = ['services', index, 'alpn'];
    const mend = 'add sni: [...], or leave it out';
    return [{ path, at: 'key', what: 'it is for certain names only', mend } as const];
  });
}

function listenOf(service: ServiceDraft | undefined): string | undefined {
  return service?.listen && formatEndpoint(service.listen.address, service.listen.port);
}
