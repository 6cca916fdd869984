/** Sends and expects what its script says: redis, SMTP, databases. */
import type { Clock } from '../../../runtime/index.ts';
import { feedExpect, missingOf, startExpect } from '../../index.ts';
import type { ExpectState, ExpectStep, ExpectTurn, ProbeTls } from '../../index.ts';
import { converse } from './conversation.ts';
import { dialer } from './dial.ts';
import type { Probe } from './probe.ts';

export function expectProbe(
  { steps, tls }: { steps: readonly ExpectStep[]; tls: ProbeTls | undefined },
  dependencies: { clock: Clock },
): Probe {
  const dial = dialer(tls, dependencies);
  return {
    start: (target, onOutcome) =>
      converse(dial, target, onOutcome, ({ stream }, finish) => {
        let state: ExpectState | undefined;
        const perform = (turn: ExpectTurn): void => {
          state = turn.state;
          for (const effect of turn.effects) {
            if (effect.kind === 'send') stream.write(effect.bytes);
            else finish(effect.kind === 'passed' ? { passed: true } : { passed: false, reason: effect.reason });
          }
        };
        const missing = (): string | undefined => state && missingOf(steps, state);
        stream.once(tls === undefined ? 'connect' : 'secureConnect', () => perform(startExpect(steps)));
        stream.on('data', (bytes: Uint8Array) => {
          if (state !== undefined) perform(feedExpect(steps, state, bytes));
        });
        stream.once('close', () => finish({ passed: false, reason: `closed: ${missing() ?? 'no answer'}` }));
        return missing;
      }),
  };
}
