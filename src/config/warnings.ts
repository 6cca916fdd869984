import type { Config } from './config.ts';
import type { VirtualRouterConfig } from './router-config.ts';

/** What bridges keep an address for that they hear nothing of, by default (IEEE 802.1Q, 8.8.3). */
const switchForgetsMs = 300_000;

/** What is allowed and yet worth a second thought, one sentence each; the file is correct all the same. */
export function configWarnings(config: Config): readonly string[] {
  return config.virtualRouters.flatMap((router) => {
    const warnings = [passwordWarning(router), hmacWarning(router), virtualMacWarning(router)];
    return warnings.flatMap((warning) => (warning === undefined ? [] : [`virtual router ${router.name}: ${warning}`]));
  });
}

function passwordWarning({ simplePassword }: VirtualRouterConfig): string | undefined {
  return simplePassword === undefined ? undefined : 'simplePassword protects nothing, everybody on the LAN can read it';
}

function hmacWarning({ hmac }: VirtualRouterConfig): string | undefined {
  if (hmac === undefined || hmac.mode === 'enforce') return undefined;
  return `hmac protects nothing yet, mode: ${hmac.mode} believes adverts without a seal`;
}

/** Unicast adverts leave from the interface's MAC, so that announcements alone lead the switch to the virtual one. */
function virtualMacWarning({ mac, mode, announceRefreshMs = Infinity }: VirtualRouterConfig): string | undefined {
  const isForgotten = mac === 'virtual' && mode === 'unicast' && announceRefreshMs >= switchForgetsMs;
  return isForgotten
    ? 'with mode: unicast the switch learns the virtual MAC from announcements alone; write announceRefresh: 60s'
    : undefined;
}
