/** The states and inputs of the table in machine.test.ts. The router has priority 100, 192.0.2.10, 1000 ms, epoch 5. */
import type { RouterConfig, RouterInput, RouterState } from '../../../src/vrrp/index.ts';

export const nowMs = 10_000;
export const config: RouterConfig = {
  version: 3,
  priority: 100,
  advertIntervalMs: 1000,
  preempt: false,
  preemptDelayMs: 0,
  ownAddress: Uint8Array.of(192, 0, 2, 10),
};
export const preempting: RouterConfig = { ...config, preempt: true };

const lowerAddress = Uint8Array.of(192, 0, 2, 9);
const higherAddress = Uint8Array.of(192, 0, 2, 100);

const common = { priority: 100, epoch: 5, isPreemptPermitted: true };
const backup = {
  ...common,
  kind: 'backup',
  active: { address: higherAddress, priority: 100 },
  heardAtMs: nowMs - 500,
  activeAdvertIntervalMs: 1000,
  activeDownAtMs: nowMs + 2000,
  wakeAtMs: nowMs + 1000,
  hasOverslept: false,
  regularDownAtMs: undefined,
  preemptAtMs: undefined,
  promotionCause: 'active-silent',
  hasYielded: false,
} as const;
const active = {
  ...common,
  kind: 'active',
  nextAdvertAtMs: nowMs + 500,
  listensUntilMs: undefined,
  grace: undefined,
  missedAdverts: 0,
  lastAdvertFailed: false,
  reassertAtMs: nowMs,
  reannounceAtMs: nowMs,
} as const;

export const states = {
  stopped: { state: { ...common, kind: 'initialize', isStarted: false, isLinkUp: true, faults: [] }, config },
  'link down': { state: { ...common, kind: 'initialize', isStarted: true, isLinkUp: false, faults: [] }, config },
  'with a fault': {
    state: { ...common, kind: 'initialize', isStarted: true, isLinkUp: true, faults: ['disk'] },
    config,
  },
  backup: { state: backup, config },
  'backup that preempts': { state: backup, config: preempting },
  'backup that may not preempt': { state: { ...backup, isPreemptPermitted: false }, config: preempting },
  'backup that preempts later': { state: backup, config: { ...preempting, preemptDelayMs: 1500 } },
  'backup that is preempting': {
    state: { ...backup, preemptAtMs: nowMs - 1, promotionCause: 'preempt' },
    config: preempting,
  },
  'backup that has heard nobody': { state: { ...backup, active: undefined, heardAtMs: undefined }, config },
  'backup whose peer died': {
    state: {
      ...backup,
      activeDownAtMs: nowMs + 900,
      wakeAtMs: undefined,
      regularDownAtMs: nowMs + 2000,
      promotionCause: 'peer-died',
    },
    config: preempting,
  },
  'backup, down timer due': { state: { ...backup, activeDownAtMs: nowMs, wakeAtMs: undefined }, config },
  'backup that looks whether it is awake': {
    state: { ...backup, activeDownAtMs: nowMs + 500, wakeAtMs: nowMs - 500 },
    config,
  },
  'backup that has overslept': { state: { ...backup, activeDownAtMs: nowMs + 499, wakeAtMs: nowMs - 501 }, config },
  'backup that has overslept again': {
    state: { ...backup, activeDownAtMs: nowMs, wakeAtMs: nowMs - 1000, hasOverslept: true },
    config,
  },
  'fenced backup': {
    state: { ...backup, heardAtMs: undefined, activeDownAtMs: undefined, wakeAtMs: undefined, hasYielded: true },
    config: preempting,
  },
  active: { state: active, config },
  'active, advert due': { state: { ...active, nextAdvertAtMs: nowMs }, config },
  'active, two adverts missed': { state: { ...active, missedAdverts: 2 }, config },
  'active, advert failed': { state: { ...active, missedAdverts: 1, lastAdvertFailed: true }, config },
  'handing over': { state: { ...active, grace: { kind: 'hand-over', untilMs: nowMs + 1 } }, config },
  'handed over in vain': { state: { ...active, grace: { kind: 'hand-over', untilMs: nowMs } }, config },
  'taking over': { state: { ...active, grace: { kind: 'take-over', untilMs: nowMs + 1 } }, config },
  'has taken over': { state: { ...active, grace: { kind: 'take-over', untilMs: nowMs } }, config },
  'active, has just answered': { state: { ...active, reassertAtMs: nowMs + 1, reannounceAtMs: nowMs + 1 }, config },
  'active, late by its down interval': { state: { ...active, nextAdvertAtMs: nowMs - 3609.375 }, config },
  'stalled at a short interval': {
    state: { ...active, nextAdvertAtMs: nowMs - 3609.376 },
    config: { ...config, advertIntervalMs: 100 },
  },
  listening: {
    state: { ...active, nextAdvertAtMs: nowMs - 400, listensUntilMs: nowMs + 1 },
    config: { ...config, advertIntervalMs: 100 },
  },
  'done listening': {
    state: { ...active, nextAdvertAtMs: nowMs - 400, listensUntilMs: nowMs },
    config: { ...config, advertIntervalMs: 100 },
  },
  'stalled while listening': {
    state: { ...active, nextAdvertAtMs: nowMs - 900, listensUntilMs: nowMs - 361 },
    config: { ...config, advertIntervalMs: 100 },
  },
  stalled: { state: { ...active, nextAdvertAtMs: nowMs - 3609.376 }, config },
} as const satisfies Record<string, { state: RouterState; config: RouterConfig }>;

const advert = { type: 'advert', priority: 100, advertIntervalMs: 500, source: higherAddress } as const;
const fence = { type: 'fence', epoch: 5, priority: 100, address: higherAddress } as const;

export const inputs = {
  startup: { type: 'startup' },
  shutdown: { type: 'shutdown' },
  timeout: { type: 'timeout' },
  'advert 0': { ...advert, priority: 0 },
  'advert 99': { ...advert, priority: 99 },
  'advert 100, lower address': { ...advert, source: lowerAddress },
  'advert 100, same address': { ...advert, source: config.ownAddress },
  'advert 100, higher address': advert,
  'advert 101': { ...advert, priority: 101, source: lowerAddress },
  'priority 50': { type: 'priority-changed', priority: 50 },
  'may preempt': { type: 'preempt-permitted', isPermitted: true },
  'may not preempt': { type: 'preempt-permitted', isPermitted: false },
  'link-down': { type: 'link-down' },
  'link-up': { type: 'link-up' },
  'fault disk': { type: 'fault', reason: 'disk' },
  'fault-cleared disk': { type: 'fault-cleared', reason: 'disk' },
  'fault-cleared other': { type: 'fault-cleared', reason: 'other' },
  'advert-wanted': { type: 'advert-wanted' },
  'advert-send-failed': { type: 'advert-send-failed' },
  'claim-failed': { type: 'claim-failed' },
  'fence 4, higher': { ...fence, epoch: 4, priority: 255 },
  'fence 5, lower': { ...fence, priority: 99 },
  'fence 5, lower address': { ...fence, address: lowerAddress },
  'fence 5, same address': { ...fence, address: config.ownAddress },
  'fence 5, higher address': fence,
  'fence 6, lower': { ...fence, epoch: 6, priority: 1 },
  'peer-resigned': { type: 'peer-resigned', address: higherAddress },
  'another resigned': { type: 'peer-resigned', address: lowerAddress },
  'fence-lifted': { type: 'fence-lifted' },
  'peer-process-died': { type: 'peer-process-died', address: higherAddress },
  'peer-silent': { type: 'peer-silent', address: higherAddress },
  'another is silent': { type: 'peer-silent', address: lowerAddress },
  'another process died': { type: 'peer-process-died', address: lowerAddress },
  'peer-epoch 5': { type: 'peer-epoch', epoch: 5 },
  'peer-epoch 9': { type: 'peer-epoch', epoch: 9 },
  'take-over 6': { type: 'take-over', epoch: 6, graceMs: 1000 },
  'hand-over': { type: 'hand-over', graceMs: 1000 },
  resign: { type: 'resign' },
} as const satisfies Record<string, RouterInput>;
