import type { Config } from './config.ts';

/** What is allowed and yet worth a second thought, one sentence each; the file is correct all the same. */
export function configWarnings(config: Config): readonly string[] {
  return config.virtualRouters.flatMap(({ name, simplePassword, hmac }) => [
    ...(simplePassword === undefined
      ? []
      : [`virtual router ${name}: simplePassword protects nothing, everybody on the LAN can read it`]),
    ...(hmac === undefined || hmac.mode === 'enforce'
      ? []
      : [`virtual router ${name}: hmac protects nothing yet, mode: ${hmac.mode} believes adverts without a seal`]),
  ]);
}
