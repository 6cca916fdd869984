/** Asks a server's agent: what it says first, to the end of the line or of the connection, is the detail. */
import type { Clock } from '../../../runtime/index.ts';
import { converse } from './conversation.ts';
import { dialer } from './dial.ts';
import type { Probe } from './probe.ts';

const answerBytesMax = 4_096;

export function agentProbe(send: string | undefined, dependencies: { clock: Clock }): Probe {
  const dial = dialer(undefined, dependencies);
  return {
    start: (target, onOutcome) =>
      converse(dial, target, onOutcome, ({ stream }, finish) => {
        let answer = Buffer.alloc(0);
        const end = (): void => {
          const detail = answer.toString('latin1');
          finish(detail.trim() === '' ? { passed: false, reason: 'no answer' } : { passed: true, detail });
        };
        stream.once('connect', () => send !== undefined && stream.write(send));
        stream.on('data', (bytes: Buffer) => {
          answer = Buffer.concat([answer, bytes.subarray(0, answerBytesMax - answer.length)]);
          if (answer.includes('\n') || answer.length === answerBytesMax) end();
        });
        stream.once('end', end);
        stream.once('close', end);
        return undefined;
      }),
  };
}
