/** The kinds of value that the file knows: each checks, explains itself to people and to editors, and converts. */

import * as z from 'zod';
import { formatIp, parseIp, parsePrefix } from '../base/index.ts';
import type { IpPrefix } from '../base/index.ts';
import { durationPattern, formatDuration, parseDuration } from './duration.ts';
import { endpointPattern, isHostAddress, parseEndpoint } from './endpoint.ts';
import type { Endpoint } from './endpoint.ts';
import { nearest } from './nearest.ts';

/** How a value that does not fit is talked about. */
export type Hint = {
  /** Completes "expected ...". */
  readonly expected: string;
  /** A value that would do, as it is written in the file. */
  readonly example: string;
  /** A better advice than the example, for a value that shows what its writer meant. */
  readonly advise?: (value: unknown) => string | undefined;
  /** Of a mapping: keys that it had in an earlier version, and what to do instead. */
  readonly formerly?: Readonly<Record<string, string>>;
};

/** What to say of which schema; zod's own phrases reach nobody. */
export const hints = z.registry<Hint>();

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
/** What the kernel accepts (dev_valid_name in net/core/dev.c). */
const interfacePattern = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;
const ipPattern = /^[0-9A-Fa-f:.]{2,45}$/;
const prefixPattern = /^[0-9A-Fa-f:.]{2,45}(?:\/[0-9]{1,3})?$/;
/** Some word, and nothing that means something to a shell. */
const commandPattern = /^(?=.*\S)[^\0\n'"`$|&;<>\\]{1,4096}$/;
const dnsLabel = '[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
const dnsNamePattern = new RegExp(`^(?=.{1,254}$)${dnsLabel}(?:\\.${dnsLabel})*\\.?$`);
const resolverPattern = /^[0-9A-Fa-f:.[\]]{2,53}$/;
const pathPattern = /^\/[^\0]*$/;

export function name(about: string, example: string) {
  return text({
    about,
    expected: 'a name of up to 63 letters, digits, dots, dashes and underscores',
    example,
    pattern: namePattern,
    read: (value) => value,
    advise: quotesFor,
  });
}

export function interfaceName(about: string) {
  return text({
    about,
    expected: "an interface's name of up to 15 characters",
    example: 'eth0',
    pattern: interfacePattern,
    read: (value) => value,
    advise: quotesFor,
  });
}

export function absolutePath(about: string, example: string) {
  return text({ about, expected: 'an absolute path', example, pattern: pathPattern, read: (value) => value });
}

/**
 * A program and its arguments, as a list of words. A text is split at white space and nothing else: what only a shell
 * would understand is refused, so that nobody relies on it.
 */
export function command(about: string, example: string) {
  const expected = 'a command without quotes or other signs of a shell, or a list of its words';
  const line = text<readonly string[]>({
    about,
    expected,
    example,
    pattern: commandPattern,
    read: (value) => value.trim().split(/\s+/),
  });
  const words = z
    .array(
      z
        .string()
        .min(1)
        .max(4096)
        .regex(/^[^\0]*$/),
    )
    .min(1)
    .max(64);
  return z.union([line, words]).describe(about).register(hints, { expected, example, advise: adviseOnShell });
}

/** Printable ASCII, which other implementations can be given as well. */
export function shortPassword(about: string, example: string) {
  return text({
    about,
    expected: 'a text of 1 to 8 printable characters',
    example,
    pattern: /^[\x21-\x7e]{1,8}$/,
    read: (value) => value,
    advise: quotesFor,
  });
}

/** An address that one host can have, in canonical text. */
export function hostAddress(about: string, example: string) {
  return text<string>({
    about,
    expected: "a host's IP address",
    example,
    pattern: ipPattern,
    read(value) {
      const bytes = parseIp(value);
      return bytes !== undefined && isHostAddress(value) ? formatIp(bytes) : undefined;
    },
    advise: (value) => (isText(value) && value.includes('/') ? 'leave out the /length' : undefined),
  });
}

export function hostPrefix(about: string, example: string) {
  return text<IpPrefix>({
    about,
    expected: "a host's IP address, with or without /length",
    example,
    pattern: prefixPattern,
    read(value) {
      const prefix = parsePrefix(value);
      return prefix !== undefined && isHostAddress(prefix.address) ? prefix : undefined;
    },
  });
}

export function endpoint(about: string, example: string) {
  return text<Endpoint>({
    about,
    expected: 'an IP address with a port',
    example,
    pattern: endpointPattern,
    read: parseEndpoint,
    advise: portFor,
  });
}

/** A name to be looked up, in lower case and without the dot at its end. */
export function dnsName(about: string, example: string) {
  return text({
    about,
    expected: 'a DNS name of at most 253 letters, digits, dots, dashes and underscores',
    example,
    pattern: dnsNamePattern,
    read: (value) => (parseIp(value) === undefined ? value.toLowerCase().replace(/\.$/, '') : undefined),
    advise: (value) => (isText(value) && parseIp(value) !== undefined ? 'write it as address' : undefined),
  });
}

/** A DNS server: an address with or without a port, 53 if it says none. */
export function resolverAddress(about: string, example: string) {
  return text<Endpoint>({
    about,
    expected: 'an IP address, with or without a port',
    example,
    pattern: resolverPattern,
    read(value) {
      const bytes = parseIp(value);
      return bytes === undefined ? parseEndpoint(value) : { address: formatIp(bytes), port: 53 };
    },
  });
}

/** Milliseconds; `multipleMs` and a "0s" outside the range that means off or none are for those who ask for it. */
export function duration(
  about: string,
  range: { minMs: number; maxMs: number; multipleMs?: number; zero?: 'off' | 'none' },
  example: string,
) {
  const { minMs, maxMs, multipleMs, zero } = range;
  const kind = multipleMs === undefined ? 'a duration' : `a multiple of ${formatDuration(multipleMs)}`;
  const orZero = zero === undefined ? '' : `, or 0s for ${zero}`;
  const expected = `${kind} from ${formatDuration(minMs)} to ${formatDuration(maxMs)}${orZero}`;
  return text<number>({
    about: `${about} Write ${expected}.`,
    expected,
    example,
    pattern: durationPattern,
    read(value) {
      const durationMs = parseDuration(value);
      if (durationMs === undefined || (durationMs === 0 && zero !== undefined)) return durationMs;
      const fits = durationMs >= minMs && durationMs <= maxMs;
      return fits && (multipleMs === undefined || durationMs % multipleMs === 0) ? durationMs : undefined;
    },
    advise: (value) => (/^\d+(\.\d+)?$/.test(String(value)) ? `write a unit, e.g. ${example}` : undefined),
  });
}

/** A part of a whole, 0..1. */
export function percentage(about: string, example: string) {
  return text<number>({
    about,
    expected: 'a percentage from 0% to 100%',
    example,
    pattern: /^\d{1,3}(\.\d{1,3})?%$/,
    read(value) {
      const share = Number(value.slice(0, -1)) / 100;
      return share <= 1 ? share : undefined;
    },
    advise: (value) => (typeof value === 'number' ? `write ${value}%` : undefined),
  });
}

/** A whole number. */
export function integer(about: string, min: number, max: number, example: number) {
  return z
    .int()
    .min(min)
    .max(max)
    .describe(about)
    .register(hints, {
      expected: `a number from ${min} to ${max}`,
      example: String(example),
      advise(value) {
        if (isText(value) && /^\d+$/.test(value)) return 'leave out the quotes';
        return typeof value === 'number' && !Number.isInteger(value) ? 'write a whole number' : undefined;
      },
    });
}

export function choice<const Word extends string>(about: string, words: readonly [Word, ...Word[]]) {
  return z
    .enum(words)
    .describe(about)
    .register(hints, {
      expected: words.join(' or '),
      example: words[0],
      advise(value) {
        const word = isText(value) ? nearest(value, words) : undefined;
        return word === undefined ? undefined : `did you mean '${word}'?`;
      },
    });
}

export function flag(about: string, example: boolean) {
  return z
    .boolean()
    .describe(about)
    .register(hints, { expected: 'true or false', example: String(example) });
}

/** A mapping that refuses keys it does not know. */
export function section<Shape extends z.ZodRawShape>(
  about: string,
  shape: Shape,
  example: string,
  formerly: Readonly<Record<string, string>> = {},
) {
  return z.strictObject(shape).describe(about).register(hints, { expected: 'a mapping', example, formerly });
}

export function list<Item extends z.ZodType>(about: string, item: Item, min: number, max: number, example: string) {
  return z
    .array(item)
    .min(min)
    .max(max)
    .describe(about)
    .register(hints, { expected: `a list of ${min} to ${max} items`, example });
}

/** One value for both nodes, or a mapping with one for each. */
export function perNode<Value extends z.ZodType>(about: string, value: Value, expected: string, example: string) {
  const schema = z.union([value, z.record(z.string(), value)]).describe(about);
  // `schema.register` would do the same, but its type gives up on a schema that is still a parameter.
  hints.add(schema, { expected: `${expected}, or one for each node`, example });
  return schema;
}

/** A text that must match the pattern, which editors check too, and that must read as a value. */
export function text<Value>(spec: {
  about: string;
  expected: string;
  example: string;
  pattern: RegExp;
  read: (text: string) => Value | undefined;
  advise?: (value: unknown) => string | undefined;
}) {
  const { about, pattern, read, ...hint } = spec;
  return z
    .string()
    .regex(pattern)
    .transform((written, context): Value => {
      const value = read(written);
      if (value !== undefined) return value;
      context.addIssue({ code: 'custom' });
      return z.NEVER;
    })
    .describe(about)
    .register(hints, hint);
}

function adviseOnShell(value: unknown): string | undefined {
  return isText(value) && value.trim() !== '' ? "no shell reads it; write [sh, -c, '...'] if one shall" : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function quotesFor(value: unknown): string | undefined {
  return typeof value === 'number' || typeof value === 'boolean' ? `write it in quotes: '${value}'` : undefined;
}

function portFor(value: unknown): string | undefined {
  if (!isText(value) || parseIp(value) === undefined) return undefined;
  return value.includes(':') ? `add a port: '[${value}]:80'` : `add a port: ${value}:80`;
}
