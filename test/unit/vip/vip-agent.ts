/**
 * Holds VIPs on one interface as told on standard input, line by line; the lab runs it inside a namespace:
 *
 *   node vip-agent.ts INTERFACE LIFETIME_MS [--uid=UID] [--vrid=VRID --family=4|6]     with a VRID: in virtual MAC mode
 *   < {"id":1,"call":"claim","vips":["192.0.2.10/24"]}
 *   > {"id":1,"value":{...},"tookMs":0.4}   or   {"id":1,"error":{"code":...,"message":...,"mend":...}}
 *   > {"told":"lost 192.0.2.10"}
 */
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { loadNative, OperatorError, systemClock } from '../../../src/runtime/index.ts';
import {
  Addresses,
  Announcer,
  isIpv6Router,
  Rtnetlink,
  VirtualInterface,
  VirtualMacSender,
} from '../../../src/vip/io/index.ts';
import { fromHex, parsePrefix } from '../../../src/base/index.ts';
import type { IpPrefix } from '../../../src/base/index.ts';
import type { Link } from '../../../src/vip/io/index.ts';

export type AgentCall =
  'start' | 'claim' | 'release' | 'removeStale' | 'present' | 'announce' | 'silence' | 'advert' | 'counts' | 'stop';
export type AgentRequest = { readonly id: number; readonly call: AgentCall; readonly vips: readonly string[] };
export type AgentError = { readonly code: string; readonly message: string; readonly mend: string };
export type AgentLine = {
  readonly id?: number;
  readonly value?: unknown;
  readonly tookMs?: number;
  readonly error?: AgentError;
  readonly told?: string;
};

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { uid: { type: 'string' }, vrid: { type: 'string' }, family: { type: 'string' } },
});
const [parentName = '', lifetimeMs = ''] = positionals;
const clock = systemClock;
const kernel = new Rtnetlink({ native: loadNative() });
const virtualInterface =
  values.vrid === undefined
    ? undefined
    : new VirtualInterface(
        { parentName, vrid: Number(values.vrid), family: values.family === '6' ? 6 : 4 },
        { kernel },
      );
const addresses = new Addresses(
  { interfaceName: virtualInterface?.name ?? parentName, addressLifetimeMs: Number(lifetimeMs) },
  {
    kernel,
    clock,
    ...(virtualInterface && { virtualInterface }),
    handlers: {
      onAddressLost: (vip) => print({ told: `lost ${vip.address}` }),
      onLinkChanged: ({ up }) => print({ told: up ? 'up' : 'down' }),
      onLinkGone: () => print({ told: 'gone' }),
      onRenewalFailed: (error) => print({ told: `renewal failed: ${String(error)}` }),
    },
  },
);
const native = loadNative();
const announcer = new Announcer({ announceRefreshMs: 0 }, { clock, native, link: () => addresses.link, isIpv6Router });
const adverts =
  virtualInterface &&
  new VirtualMacSender({ macAddress: virtualInterface.macAddress }, { native, parent: () => parentLink });

/** Packets as large as an advert's head, to 224.0.0.18 and to ff02::12: to a switch with snooping, well-formed ones. */
const advertLike = {
  4: fromHex('45c0 001c 0000 4000 ff70 d89d c0000201 e0000012 00000000 00000000'),
  6: fromHex('6c000000 0008 70 ff fe800000000000000000000000000001 ff020000000000000000000000000012 0000000000000000'),
} as const;

let parentLink: Link | undefined;
if (values.uid !== undefined) process.setuid?.(Number(values.uid));
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
      parentLink = (await kernel.links()).find(({ name }) => name === parentName);
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
    case 'advert':
      return adverts?.send(advertLike[values.family === '6' ? 6 : 4]);
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
