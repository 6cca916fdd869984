/**
 * A DNS server that says what it is told to, also what it should not: enough of RFC 1035 for A, AAAA and SRV.
 *
 *   node dns-server.ts --listen 10.9.0.23:53      reads lines {"name": ..., "answer": DnsAnswer} on standard input
 */

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { concatBytes, parseIp } from '../../src/base/index.ts';
import { printJson } from './json-lines.ts';

export type DnsRecord =
  | { readonly type: 'A' | 'AAAA'; readonly address: string; readonly ttl: number }
  | {
      readonly type: 'SRV';
      readonly priority: number;
      readonly weight: number;
      readonly port: number;
      readonly target: string;
      readonly ttl: number;
    };

/** `silent`: no answer. `truncated`: over UDP only a part, so that TCP is asked. `wrong-id`: of another question. */
export type DnsAnswer = {
  readonly records: readonly DnsRecord[];
  readonly fault?: 'silent' | 'servfail' | 'nxdomain' | 'truncated' | 'wrong-id';
};

const typeNumbers = { A: 1, AAAA: 28, SRV: 33 } as const;
const textEncoder = new TextEncoder();

export class DnsServer {
  readonly #answers = new Map<string, DnsAnswer>();
  readonly #udp: Socket = createSocket('udp4');
  readonly #tcp: Server = createServer();
  /** "udp app.test A", in the order of their coming. */
  readonly asked: string[] = [];

  async start(address = '127.0.0.1', port = 0): Promise<number> {
    this.#udp.on('message', (query, from) => {
      const reply = this.#reply(query, 'udp');
      if (reply !== undefined) this.#udp.send(reply, from.port, from.address);
    });
    this.#tcp.on('connection', (socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (query) => {
        const reply = this.#reply(query.subarray(2), 'tcp');
        if (reply !== undefined) socket.write(concatBytes(uint16(reply.length), reply));
      });
    });
    this.#tcp.listen(port, address);
    await once(this.#tcp, 'listening');
    const { port: bound } = this.#tcp.address() as AddressInfo;
    this.#udp.bind(bound, address);
    await once(this.#udp, 'listening');
    return bound;
  }

  stop(): void {
    this.#udp.close();
    this.#tcp.close();
  }

  set(name: string, answer: DnsAnswer): void {
    this.#answers.set(name.toLowerCase(), answer);
  }

  #reply(query: Uint8Array, via: 'udp' | 'tcp'): Uint8Array | undefined {
    const { name, type, end } = questionOf(query);
    const typeName = Object.entries(typeNumbers).find(([, number]) => number === type)?.[0] ?? String(type);
    this.asked.push(`${via} ${name} ${typeName}`);
    const answer: DnsAnswer = this.#answers.get(name) ?? { records: [], fault: 'nxdomain' };
    if (answer.fault === 'silent') return undefined;
    const isCut = answer.fault === 'truncated' && via === 'udp';
    const records = isCut ? [] : answer.records.filter((record) => record.type === typeName);
    const rcode = { servfail: 2, nxdomain: 3 }[answer.fault as string] ?? 0;
    const idMask = answer.fault === 'wrong-id' ? 0xff : 0;
    return concatBytes(
      Uint8Array.of((query[0] ?? 0) ^ idMask, query[1] ?? 0),
      uint16(0x8180 | (isCut ? 0x0200 : 0) | rcode),
      ...[1, records.length, 0, 0].map(uint16),
      query.subarray(12, end),
      ...records.map(recordBytes),
    );
  }
}

function questionOf(query: Uint8Array): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(new TextDecoder().decode(query.subarray(at + 1, at + 1 + length)));
    at += 1 + length;
  }
  const type = ((query[at + 1] ?? 0) << 8) | (query[at + 2] ?? 0);
  return { name: labels.join('.').toLowerCase(), type, end: at + 5 };
}

/** Its name is a pointer to that of the question. */
function recordBytes(record: DnsRecord): Uint8Array {
  const data =
    record.type === 'SRV'
      ? concatBytes(...[record.priority, record.weight, record.port].map(uint16), nameBytes(record.target))
      : (parseIp(record.address) ?? new Uint8Array());
  const ttl = [uint16(record.ttl >> 16), uint16(record.ttl & 0xffff)];
  return concatBytes(uint16(0xc00c), uint16(typeNumbers[record.type]), uint16(1), ...ttl, uint16(data.length), data);
}

function nameBytes(name: string): Uint8Array {
  const labels = name.split('.').map((label) => textEncoder.encode(label));
  return concatBytes(...labels.map((label) => concatBytes(Uint8Array.of(label.length), label)), Uint8Array.of(0));
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of((value >> 8) & 0xff, value & 0xff);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { listen: { type: 'string', default: '127.0.0.1:53' } } });
  const [address, port] = values.listen.split(':');
  const server = new DnsServer();
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const { name, answer } = JSON.parse(line) as { name: string; answer: DnsAnswer };
    server.set(name, answer);
    void printJson({ event: 'set', name });
  });
  lines.on('close', () => process.exit(0));
  await server.start(address, Number(port));
  await printJson({ event: 'listening' });
}

if (import.meta.main) await main();
