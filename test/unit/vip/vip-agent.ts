/**
 * Holds VIPs on one interface as told on standard input, line by line; the lab runs it inside a namespace:
 *
 *   node vip-agent.ts INTERFACE LIFETIME_MS [UID]
 *   < {"id":1,"call":"claim","vips":["192.0.2.10/24"]}
 *   > {"id":1,"value":{...},"tookMs":0.4}   or   {"id":1,"error":{"code":...,"message":...,"mend":...}}
 *   > {"told":"lost 192.0.2.10"}
 */
import { createInterface } from 'node:readline';
import { loadNative, OperatorError, systemClock } from '../../../src/runtime/index.ts';
import { Addresses, Announcer, isIpv6Router, Rtnetlink } from '../../../src/vip/io/index.ts';
import { parsePrefix } from '../../../src/base/index.ts';
import type { IpPrefix } from '../../../src/base/index.ts';

export type AgentCall =
  'start' | 'claim' | 'release' | 'removeStale' | 'present' | 'announce' | 'silence' | 'counts' | 'stop';
export type AgentRequest = { readonly id: number; readonly call: AgentCall; readonly vips: readonly string[] };
export type AgentError = { readonly code: string; readonly message: string; readonly mend: string };
export type AgentLine = {
  readonly id?: number;
  readonly value?: unknown;
  readonly tookMs?: number;
  readonly error?: AgentError;
  readonly told?: string;
};

const [interfaceName = '', lifetimeMs = '', uid] = process.argv.slice(2);
const clock = systemClock;
const kernel = new Rtnetlink();
const addresses = new Addresses(
  { interfaceName, addressLifetimeMs: Number(lifetimeMs) },
  {
    kernel,
    clock,
    handlers: {
      onAddressLost: (vip) => print({ told: `lost ${vip.address}` }),
      onLinkChanged: ({ up }) => print({ told: up ? 'up' : 'down' }),
      onLinkGone: () => print({ told: 'gone' }),
      onRenewalFailed: (error) => print({ told: `renewal failed: ${String(error)}` }),
    },
  },
);
const announcer = new Announcer(
  { announceRefreshMs: 0 },
  { clock, native: loadNative(), link: () => addresses.link, isIpv6Router },
);

if (uid !== undefined) process.setuid?.(Number(uid));
createInterface({ input: process.stdin })
  .on('line', (line) => void answer(JSON.parse(line) as AgentRequest))
  .on('close', () => process.exit());

async function answer({ id, call, vips }: AgentRequest): Promise<void> {
  const startedMs = clock.nowMs();
  try {
    const value = await perform(call, vips.map(prefixOf));
    print({ id, value, tookMs: clock.nowMs() - startedMs });
  } catch (error) {
    const { code, mend } = error instanceof OperatorError ? error : { code: 'BUG', mend: '' };
    print({ id, error: { code, message: String(error), mend } });
  }
}

async function perform(call: AgentCall, vips: readonly IpPrefix[]): Promise<unknown> {
  switch (call) {
    case 'start':
      await addresses.start();
      return announcer.start();
    case 'claim':
      return addresses.claim(vips);
    case 'release':
      return addresses.release(vips);
    case 'removeStale':
      return addresses.removeStale(vips);
    case 'present':
      return addresses.link === undefined ? [] : kernel.addresses(addresses.link.index);
    case 'announce':
      announcer.announce(vips);
      return undefined;
    case 'silence':
      announcer.silence();
      return undefined;
    case 'counts':
      return { ...addresses.counts, ...announcer.counts };
    case 'stop':
      await announcer.stop();
      return addresses.stop();
  }
}

function prefixOf(text: string): IpPrefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new Error(`no prefix: ${text}`);
  return prefix;
}

function print(line: AgentLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
