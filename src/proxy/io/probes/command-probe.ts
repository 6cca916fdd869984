/**
 * Runs a program without a shell: passed if it exits with 0. It is told whom it checks by its environment, in the names
 * of HAProxy's external-check as well, and killed with all that it has started when it is cancelled.
 */
import { describeEnd, isSuccess, runCommand } from '../../../runtime/index.ts';
import type { Clock, CommandResult } from '../../../runtime/index.ts';
import type { Probe, ProbeOutcome, ProbeTarget } from './probe.ts';

/** Never reached: the check cancels it before. A program whose check forgot it must not stay for ever all the same. */
const runMsMax = 600_000;

export function commandProbe(words: readonly string[], { clock }: { clock: Clock }): Probe {
  return {
    start(target, onOutcome) {
      const cancelling = new AbortController();
      const options = { timeoutMs: runMsMax, env: environmentOf(target), signal: cancelling.signal };
      void runCommand(words, options, { clock }).then((result) => {
        if (!cancelling.signal.aborted) onOutcome(outcomeOf(result));
      });
      return { cancel: () => cancelling.abort() };
    },
  };
}

function outcomeOf(result: CommandResult): ProbeOutcome {
  const { lastLine } = result;
  if (isSuccess(result)) return { passed: true, detail: lastLine === '' ? undefined : lastLine };
  return { passed: false, reason: `${describeEnd(result)}${lastLine === '' ? '' : `: ${lastLine}`}` };
}

function environmentOf({ service, server, address, port, source }: ProbeTarget): Record<string, string> {
  return {
    TANDEM_SERVICE: service,
    TANDEM_SERVER: server,
    TANDEM_SERVER_ADDRESS: address,
    TANDEM_SERVER_PORT: String(port),
    TANDEM_SOURCE: source ?? '',
    HAPROXY_PROXY_NAME: service,
    HAPROXY_SERVER_NAME: server,
    HAPROXY_SERVER_ADDR: address,
    HAPROXY_SERVER_PORT: String(port),
  };
}
