/**
 * What health checks talk to on a server's host, each on a port of its own: HTTP, TLS, something like redis, and an
 * agent. Lines on standard input change what it says: "http 503", "tls off", "redis -ERR", "agent drain"; "on" brings
 * back what "off" closed.
 */

import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { createServer as createTlsServer } from 'node:tls';
import { printJson } from './json-lines.ts';

export const checkPorts = { http: 8081, tls: 8443, redis: 6379, agent: 9777 } as const;
export type CheckKind = keyof typeof checkPorts;

const words: Record<CheckKind, string> = { http: '200', tls: 'on', redis: '+PONG', agent: 'ready' };

function createServers(certificateFile: string): Readonly<Record<CheckKind, Server>> {
  const pem = readFileSync(certificateFile);
  return {
    http: createHttpServer((_, response) => {
      if (words.http !== 'hang') response.writeHead(Number(words.http)).end(`this is ${words.http}\n`);
    }),
    tls: createTlsServer({ key: pem, cert: pem }, (socket) => socket.on('error', () => undefined)),
    redis: createServer((socket) => socket.on('data', () => socket.write(`${words.redis}\r\n`))),
    agent: createServer((socket) => socket.end(`${words.agent}\n`)),
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve) => void server.listen(port, resolve));
}

async function change(servers: Readonly<Record<CheckKind, Server>>, line: string): Promise<void> {
  const [kind, ...rest] = line.split(' ');
  const word = rest.join(' ');
  if (kind === undefined || !(kind in servers)) return;
  const server = servers[kind as CheckKind];
  if (word === 'off') server.close();
  else if (!server.listening) await listen(server, checkPorts[kind as CheckKind]);
  words[kind as CheckKind] = word;
  await printJson({ event: 'changed', line });
}

async function main(certificateFile: string): Promise<void> {
  const servers = createServers(certificateFile);
  for (const [kind, server] of Object.entries(servers)) {
    server.on('connection', (socket: Socket) => void socket.on('error', () => undefined));
    await listen(server, checkPorts[kind as CheckKind]);
  }
  await printJson({ event: 'listening' });
  for await (const line of createInterface({ input: process.stdin })) await change(servers, line);
  // Whoever started this server is gone.
  process.exit(0);
}

if (import.meta.main) await main(process.argv[2] ?? '');
