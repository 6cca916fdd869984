/** Asks DNS servers for what a name stands for, with the time to live that node:dns gives. */
import { Resolver } from 'node:dns/promises';
import type { SrvRecord } from 'node:dns';
import { formatEndpoint } from '../../base/index.ts';
import type { IpFamily } from '../../base/index.ts';
import type { Answer, Found } from '../index.ts';

export type DnsQuestion = { readonly family: IpFamily } & (
  | { readonly kind: 'address'; readonly host: string; readonly port: number }
  | { readonly kind: 'srv'; readonly service: string }
);

export type DnsLookupOptions = {
  /** Empty: those of /etc/resolv.conf. */
  readonly resolvers: readonly { readonly address: string; readonly port: number }[];
  /** For one try at one server. */
  readonly timeoutMs: number;
  readonly tries: number;
};

export const dnsLookupDefaults = { timeoutMs: 2_000, tries: 2 };

/** node:dns tells no time to live of SRV records: this is how long they are believed at most. */
const srvTtlMaxMs = 10_000;
const weightMax = 256;
/** Of one answer; each is a lookup of its own. */
const targetsMax = 64;

/** A resolver for each question: what the host knows of DNS servers may have changed, and nothing is cached. */
export class DnsLookup {
  readonly #options: DnsLookupOptions;

  constructor(options: DnsLookupOptions) {
    this.#options = options;
  }

  /** Never rejects: that nobody answers is an answer. */
  async ask(question: DnsQuestion): Promise<Answer> {
    const resolver = this.#newResolver();
    try {
      return question.kind === 'address'
        ? await lookUpAddresses(resolver, question.host, question.port, question.family)
        : await lookUpServices(resolver, question.service, question.family);
    } catch (error) {
      return answerOf(error);
    }
  }

  #newResolver(): Resolver {
    const { resolvers, timeoutMs, tries } = this.#options;
    const resolver = new Resolver({ timeout: timeoutMs, tries });
    if (resolvers.length > 0) {
      resolver.setServers(resolvers.map(({ address, port }) => formatEndpoint(address, port)));
    }
    return resolver;
  }
}

async function lookUpAddresses(resolver: Resolver, host: string, port: number, family: IpFamily): Promise<Answer> {
  const records =
    family === 4 ? await resolver.resolve4(host, { ttl: true }) : await resolver.resolve6(host, { ttl: true });
  const found = records.map(({ address }) => ({ address, port, weight: undefined }));
  return { kind: 'found', found, ttlMs: Math.min(...records.map(({ ttl }) => ttl)) * 1_000 };
}

/** Of the records the most preferred ones, whose hosts are looked up in turn; one that has no address is left out. */
async function lookUpServices(resolver: Resolver, service: string, family: IpFamily): Promise<Answer> {
  const records = await resolver.resolveSrv(service);
  const preferred = Math.min(...records.map(({ priority }) => priority));
  const chosen = records.filter(({ priority }) => priority === preferred).slice(0, targetsMax);
  const heaviest = Math.max(...chosen.map(({ weight }) => weight));
  const answers = await Promise.all(chosen.map(({ name, port }) => lookUpTarget(resolver, name, port, family)));
  const failure = answers.find(({ kind }) => kind === 'failed');
  if (failure !== undefined) return failure;
  let ttlMs = srvTtlMaxMs;
  const found: Found[] = [];
  for (const [index, answer] of answers.entries()) {
    if (answer.kind !== 'found') continue;
    ttlMs = Math.min(ttlMs, answer.ttlMs);
    const weight = weightOf(chosen[index], heaviest);
    found.push(...answer.found.map((one) => ({ ...one, weight })));
  }
  return { kind: 'found', found, ttlMs };
}

async function lookUpTarget(resolver: Resolver, host: string, port: number, family: IpFamily): Promise<Answer> {
  try {
    return await lookUpAddresses(resolver, host, port, family);
  } catch (error) {
    return answerOf(error);
  }
}

/** 0..65535 there, 1..256 here; in the same proportions as far as whole numbers say them (RFC 2782: 0 is little). */
function weightOf(record: SrvRecord | undefined, heaviest: number): number {
  const scale = heaviest > weightMax ? weightMax / heaviest : 1;
  return Math.max(1, Math.round((record?.weight ?? 0) * scale));
}

/** That there is no such name or record is known then; everything else is not (c-ares, ares_strerror). */
function answerOf(error: unknown): Answer {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  return { kind: code === 'ENOTFOUND' || code === 'ENODATA' ? 'empty' : 'failed', reason: code };
}
