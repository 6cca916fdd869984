import type { FrontDoorConfig } from '../config/index.ts';
import type { FrontDoor } from '../proxy/index.ts';

/** What the workers, so many of them, are told of a service's front door. */
export function frontDoor(config: FrontDoorConfig, workers: number): Omit<FrontDoor, 'slot'> {
  const { sni, alpn, perSource } = config;
  return {
    backlog: config.backlog,
    acceptProxy: config.acceptProxy,
    tls: sni && { names: sni, alpn },
    helloTimeoutMs: config.clientHelloTimeoutMs,
    deny: config.deny,
    allow: config.allow,
    perSource: perSource && {
      connectionsMax: perSource.connections,
      rate: perSource.rate,
      ipv6PrefixLength: perSource.ipv6Prefix,
    },
    connectionsMax: config.maxconn,
    workers,
  };
}
