/** How the file says what is checked of a service's servers: active checks, their agents, and passive outliers. */

import * as z from 'zod';
import {
  absolutePath,
  choice,
  command,
  duration,
  hints,
  hostAddress,
  integer,
  list,
  percentage,
  section,
  text,
} from './fields.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const interRange = { minMs: 10, maxMs: hour };

/** What is absent in the file means this. */
export const checkDefaults = {
  /** Never more than the check's own `inter`. */
  timeoutMs: second,
  method: 'GET',
  path: '/',
  expectStatus: [{ from: 200, to: 399 }],
} as const;

const tls = section(
  'TLS of the check.',
  {
    sni: text({
      about: 'Server name to ask for, and to verify. Default: none.',
      expected: 'a host name',
      example: 'www.example.com',
      pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/,
      read: (value) => value,
    }).optional(),
    verify: choice(
      "Whether the server's certificate must be valid. Default: required where there is a caFile, otherwise none.",
      ['none', 'required'],
    ).optional(),
    caFile: absolutePath(
      'Certificates to verify against, a PEM file. Default: those of the runtime.',
      '/etc/tandem/ca.pem',
    ).optional(),
  },
  '{sni: www.example.com}',
);

const step = z
  .strictObject({
    send: words('Text to send.', '"PING\\r\\n"').optional(),
    sendHex: hex('Bytes to send, in hexadecimal.', "'50494e470d0a'").optional(),
    expect: words('Text that must come next, after anything else.', '+PONG').optional(),
    expectHex: hex('Bytes that must come next, in hexadecimal.', "'2b504f4e47'").optional(),
  })
  .refine((value) => Object.values(value).filter((one) => one !== undefined).length === 1)
  .describe('One step of the conversation: exactly one of send, sendHex, expect and expectHex.')
  .register(hints, { expected: 'a mapping with one of send, sendHex, expect, expectHex', example: '{expect: +PONG}' });

export const check = section(
  'Health check of the servers.',
  {
    type: choice('What a check does.', ['tcp', 'http', 'tls', 'expect', 'command']).prefault('tcp'),
    inter: duration('Time from one check of a server to its next.', interRange, '2s').prefault('2s'),
    fastinter: duration('The same while a server goes up or down. Default: `inter`.', interRange, '500ms').optional(),
    downinter: duration('The same while a server is down. Default: `inter`.', interRange, '5s').optional(),
    timeout: duration(
      'How long a check may take. Default: 1s, or `inter` where that is less.',
      { minMs: 10, maxMs: minute },
      '1s',
    ).optional(),
    rise: integer('How many checks in a row must pass until a server is up.', 1, 100, 2).prefault(2),
    fall: integer('How many checks in a row must fail until a server is down.', 1, 100, 3).prefault(3),
    address: hostAddress("Address to check for all servers. Default: each server's own.", '10.9.0.21').optional(),
    port: integer("Port to check. Default: the server's own.", 1, 65_535, 8081).optional(),
    method: choice('Method of the HTTP request. Default: GET.', ['GET', 'HEAD', 'OPTIONS']).optional(),
    path: text({
      about: 'Path of the HTTP request. Default: /.',
      expected: 'a path that begins with /, without spaces',
      example: '/healthz',
      pattern: /^\/[\x21-\x7e]{0,1023}$/,
      read: (value) => value,
    }).optional(),
    host: text({
      about: 'Host header of the HTTP request. Default: the address and port that are checked.',
      expected: 'a host name, with or without a port',
      example: 'www.example.com',
      pattern: /^[A-Za-z0-9.:[\]_-]{1,255}$/,
      read: (value) => value,
    }).optional(),
    expectStatus: text({
      about: "HTTP statuses that pass. Default: '200-399'.",
      expected: 'statuses and ranges of them, separated by commas',
      example: "'200-299,304'",
      pattern: /^ *\d{3}(-\d{3})?( *, *\d{3}(-\d{3})?)* *$/,
      read: readStatuses,
      advise: (value) => (typeof value === 'number' ? `write it in quotes: '${value}'` : undefined),
    }).optional(),
    expectBody: words(
      'Text in the first 64 KiB of the HTTP answer. Default: the body does not matter.',
      'OK',
    ).optional(),
    tls: tls.optional(),
    steps: list(
      'What to send and to expect, in this order.',
      step,
      1,
      32,
      '[{send: "PING\\r\\n"}, {expect: +PONG}]',
    ).optional(),
    command: command(
      'Program that must exit with 0; it finds the server in its environment.',
      '/usr/local/bin/check-server',
    ).optional(),
  },
  '{inter: 2s}',
);

export const agent = section(
  "An agent on each server, as of HAProxy's agent-check, which says what the server is good for.",
  {
    port: integer('TCP port of the agent.', 1, 65_535, 9777),
    address: hostAddress("Address of the agents of all servers. Default: each server's own.", '10.9.0.21').optional(),
    inter: duration('Time from one question to the next.', interRange, '2s').prefault('2s'),
    send: words('Text that the agent is sent. Default: none.', '"state\\n"').optional(),
  },
  '{port: 9777}',
);

export const outlier = section(
  'Takes out servers at which connections fail. Default: not so.',
  {
    consecutiveFailures: integer('How many failures in a row take a server out.', 1, 1_000, 5).prefault(5),
    ejectionTime: duration(
      'How long it is out, times how often in a row it was.',
      { minMs: 100, maxMs: 24 * hour },
      '30s',
    ).prefault('30s'),
    ejectionTimeMax: duration('How long it is out at most.', { minMs: 100, maxMs: 24 * hour }, '5m').prefault('5m'),
    panic: percentage(
      'No server is taken out if more than this part of the servers were out then, for whatever reason.',
      '50%',
    ).prefault('50%'),
  },
  '{consecutiveFailures: 5}',
);

/** What one server has of its own. */
export const serverCheckShape = {
  checkAddress: hostAddress(
    'Address to check for this server. Default: `check.address`, or its own.',
    '10.9.0.21',
  ).optional(),
  checkPort: integer('Port to check for this server. Default: `check.port`, or its own.', 1, 65_535, 8081).optional(),
  agentPort: integer("Port of this server's agent. Default: `agent.port`.", 1, 65_535, 9777).optional(),
};

function words(about: string, example: string) {
  return text({
    about,
    expected: 'a text of up to 4096 characters',
    example,
    pattern: /^[\s\S]{1,4096}$/,
    read: (value) => value,
    advise: (value) =>
      typeof value === 'number' || typeof value === 'boolean' ? `write it in quotes: '${value}'` : undefined,
  });
}

function hex(about: string, example: string) {
  return text({
    about,
    expected: 'pairs of hexadecimal digits',
    example,
    pattern: /^(?:\s*[0-9A-Fa-f]{2}){1,4096}\s*$/,
    read: (value) => value.replace(/\s/g, '').toLowerCase(),
    advise: (value) => (typeof value === 'number' ? `write it in quotes: '${value}'` : undefined),
  });
}

function readStatuses(value: string): readonly { readonly from: number; readonly to: number }[] | undefined {
  const ranges = value.split(',').map((part) => {
    const [from = '', to = from] = part.trim().split('-');
    return { from: Number(from), to: Number(to) };
  });
  return ranges.every(({ from, to }) => from >= 100 && from <= to && to <= 599) ? ranges : undefined;
}
