/** A request over HTTP/1.1, plain or in TLS. The status decides, and the body where a text is expected in it. */
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { formatEndpoint } from '../../../base/index.ts';
import type { Clock } from '../../../runtime/index.ts';
import { isExpectedStatus } from '../../index.ts';
import type { HttpProbeSpec } from '../../index.ts';
import { converse } from './conversation.ts';
import type { Finish } from './conversation.ts';
import { dialer, errorName } from './dial.ts';
import type { Probe } from './probe.ts';

/** Of a body, no more is read. */
const bodyBytesMax = 64 * 1024;

export function httpProbe(spec: HttpProbeSpec, dependencies: { clock: Clock }): Probe {
  const dial = dialer(spec.tls, dependencies);
  return {
    start: (target, onOutcome) =>
      converse(dial, target, onOutcome, (dialed, finish) => {
        const asked = request({
          createConnection: () => dialed.stream,
          method: spec.method,
          path: spec.path,
          headers: {
            host: spec.host ?? formatEndpoint(target.address, target.port),
            'user-agent': 'tandem-check',
            connection: 'close',
          },
        });
        let answer: IncomingMessage | undefined;
        asked.on('error', (error) => finish({ passed: false, reason: explain(error) }));
        asked.once('response', (response) => {
          answer = response;
          judge(spec, response, finish);
        });
        asked.end();
        return () => progressOf(dialed.stream.connecting, answer);
      }),
  };
}

function judge(spec: HttpProbeSpec, response: IncomingMessage, finish: Finish): void {
  const status = response.statusCode ?? 0;
  if (!isExpectedStatus(status, spec.expectStatus)) finish({ passed: false, reason: `status ${status}` });
  else if (spec.expectBody === undefined) finish({ passed: true, detail: `status ${status}` });
  else searchBody(response, spec.expectBody, status, finish);
}

function searchBody(response: IncomingMessage, text: string, status: number, finish: Finish): void {
  let body = Buffer.alloc(0);
  response.on('data', (bytes: Buffer) => {
    body = Buffer.concat([body, bytes.subarray(0, bodyBytesMax - body.length)]);
    if (body.includes(text)) finish({ passed: true, detail: `status ${status}` });
    else if (body.length === bodyBytesMax) {
      finish({ passed: false, reason: `status ${status}, but no "${text}" in ${bodyBytesMax} bytes of the body` });
    }
  });
  response.once('end', () => finish({ passed: false, reason: `status ${status}, but no "${text}" in the body` }));
  response.on('error', (error) => finish({ passed: false, reason: explain(error) }));
}

function progressOf(isConnecting: boolean, answer: IncomingMessage | undefined): string | undefined {
  if (isConnecting) return undefined;
  return answer === undefined ? 'no answer' : `status ${answer.statusCode ?? 0}, but the body did not end`;
}

function explain(error: Error): string {
  const name = errorName(error);
  if (name.startsWith('HPE_')) return `not HTTP (${name})`;
  return error.message === 'socket hang up' ? 'closed without an answer' : name;
}
