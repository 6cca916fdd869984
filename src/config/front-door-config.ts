import type { Rate } from './front-door-schema.ts';
import type { ConfigFile } from './schema.ts';

/** Prefixes are texts with a length: "10.9.0.0/24". */
export type FrontDoorConfig = {
  readonly acceptProxy: { readonly from: readonly string[]; readonly timeoutMs: number } | undefined;
  /** Undefined: the service takes what no other one on its `listen` does. */
  readonly sni: readonly string[] | undefined;
  /** Empty: whatever a client offers. */
  readonly alpn: readonly string[];
  readonly clientHelloTimeoutMs: number;
  readonly deny: readonly string[];
  /** Undefined: everybody. */
  readonly allow: readonly string[] | undefined;
  readonly perSource: PerSourceConfig | undefined;
  /** Undefined: any number. */
  readonly maxconn: number | undefined;
  readonly backlog: number;
};

/** What is undefined is not limited. */
export type PerSourceConfig = {
  readonly connections: number | undefined;
  readonly rate: Rate | undefined;
  readonly ipv6Prefix: number;
};

export function frontDoorOf(service: ConfigFile['services'][number]): FrontDoorConfig {
  const { acceptProxy, perSource } = service;
  return {
    acceptProxy: acceptProxy && { from: acceptProxy.from, timeoutMs: acceptProxy.timeout },
    sni: service.sni,
    alpn: service.alpn ?? [],
    clientHelloTimeoutMs: service.clientHelloTimeout,
    deny: service.deny,
    allow: service.allow,
    perSource: perSource && {
      connections: perSource.connections,
      rate: perSource.rate,
      ipv6Prefix: perSource.ipv6Prefix,
    },
    maxconn: service.maxconn,
    backlog: service.backlog,
  };
}
