/** A TLS handshake, with the server's certificate verified where the check wants so. */
import type { Clock } from '../../../runtime/index.ts';
import type { ProbeTls } from '../../index.ts';
import { converse } from './conversation.ts';
import { dialer } from './dial.ts';
import type { Probe } from './probe.ts';

export function tlsProbe(tls: ProbeTls, dependencies: { clock: Clock }): Probe {
  const dial = dialer(tls, dependencies);
  return {
    start: (target, onOutcome) =>
      converse(dial, target, onOutcome, (dialed, finish) => {
        const { stream } = dialed;
        stream.once('secureConnect', () => finish({ passed: true, detail: dialed.tls?.getProtocol() ?? undefined }));
        stream.once('close', () => finish({ passed: false, reason: 'closed in the handshake' }));
        return () => (stream.connecting ? undefined : 'no TLS handshake');
      }),
  };
}
