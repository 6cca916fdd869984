/** Hundreds of pairs, each through half a minute of faults: see `vrrp-invariants.ts` for what must hold. */
import { describe, expect, it } from 'vitest';
import type { Random } from '../../src/runtime/index.ts';
import type { AdvertVersion, RouterConfig, TransitionCause } from '../../src/vrrp/index.ts';
import { skewMs, step } from '../../src/vrrp/index.ts';
import { Invariants } from './vrrp-invariants.ts';
import type { Node, NodeName } from './vrrp-world.ts';
import { nodeNames, noHooks, otherOf, World } from './vrrp-world.ts';

const seedCount = 500;
/** The longer the interval, the longer the run. */
const virtualIntervals = 150;
const virtualMsMin = 30_000;
const graceMs = 100;

describe('a pair', () => {
  it(`keeps its promises in ${seedCount} runs with faults`, () => {
    const causes = new Set<TransitionCause>();
    const longest = { bothWithSyncMs: 0, bothHealthyMs: 0, noneIntervals: 0 };
    for (let seed = 1; seed <= seedCount; seed++) {
      const { invariants } = simulate(seed);
      for (const cause of invariants.causes.keys()) causes.add(cause);
      longest.bothWithSyncMs = Math.max(longest.bothWithSyncMs, invariants.longestBothActiveWithSyncMs);
      longest.bothHealthyMs = Math.max(longest.bothHealthyMs, invariants.longestBothActiveHealthyMs);
      longest.noneIntervals = Math.max(longest.noneIntervals, invariants.longestNoneActiveIntervals);
    }
    // A run in which nothing happened would prove nothing.
    const expected: readonly TransitionCause[] = [
      'active-silent',
      'active-resigned',
      'peer-died',
      'peer-silent',
      'preempt',
      'startup',
      'shutdown',
      'link-up',
      'link-down',
      'fault',
      'fault-cleared',
      'higher-priority',
      'higher-address',
      'fence',
      'take-over',
      'hand-over',
      'resign',
      'stall',
      'send-failures',
      'claim-failed',
    ];
    expect([...causes].toSorted()).toEqual(expected.toSorted());
    expect(longest.bothWithSyncMs).toBeGreaterThan(0);
    expect(longest.bothHealthyMs).toBeGreaterThan(0);
    expect(longest.noneIntervals).toBeGreaterThan(3);
  });

  it('runs the same way twice from one seed', () => {
    for (const seed of [1, 2, 3]) expect(simulate(seed).world.trace).toEqual(simulate(seed).world.trace);
    expect(simulate(1).world.trace).not.toEqual(simulate(2).world.trace);
  });
});

describe('a backup whose sync link is reset', () => {
  const seeds = Array.from({ length: 100 }, (_, index) => index + 1);

  it('replaces a dead peer within an interval and its skew', () => {
    for (const seed of seeds) {
      const { world, active, backup } = settled(seed);
      const { config } = backup;
      const atMs = world.nowMs;
      world.kill(active);
      const allowedMs = config.advertIntervalMs + skewMs(config.priority, config.advertIntervalMs, config.version);
      world.runUntil(atMs + allowedMs + 0.01);
      expect(backup.state.kind, `seed ${seed}\n${world.trace.slice(-10).join('\n')}`).toBe('active');
    }
  });

  it('does not replace one that lives', () => {
    for (const seed of seeds) {
      const { world, active, backup } = settled(seed);
      for (let round = 0; round < 20; round++) {
        world.resetSync();
        world.runUntil(world.nowMs + world.between(0.1, 5) * backup.config.advertIntervalMs);
        expect([active.state.kind, backup.state.kind], `seed ${seed}`).toEqual(['active', 'backup']);
      }
    }
  });
});

describe('a backup that hears nothing on the LAN and nothing on the sync link', () => {
  const seeds = Array.from({ length: 100 }, (_, index) => index + 1);

  it('replaces its peer within two intervals and the skew', () => {
    for (const seed of seeds) {
      const { world, active, backup } = settled(seed);
      const { config } = backup;
      const atMs = world.nowMs;
      world.cutOff(active);
      const skew = skewMs(config.priority, config.advertIntervalMs, config.version);
      world.runUntil(atMs + 2 * config.advertIntervalMs + Math.max(skew, 5) + 0.01);
      expect(backup.state.kind, seedAndTrace(seed, world)).toBe('active');
    }
  });

  it('does not replace it as long as it is heard on one of the two', () => {
    for (const seed of seeds) {
      const { world, active, backup } = settled(seed);
      for (let round = 0; round < 20; round++) {
        world.hushSync();
        world.runUntil(world.nowMs + world.between(0.1, 5) * backup.config.advertIntervalMs);
        expect([active.state.kind, backup.state.kind], seedAndTrace(seed, world)).toEqual(['active', 'backup']);
      }
    }
  });
});

describe('a pair on one host that stands still', () => {
  const seeds = Array.from({ length: 300 }, (_, index) => index + 1);

  it('goes on as it was, where intervals are short and no packet is lost', () => {
    for (const seed of seeds) {
      const { world, active, backup } = settled(seed, shortIntervals);
      standStill(world, () => world.between(0.1, 10));
      expect([active.state.kind, backup.state.kind], seedAndTrace(seed, world)).toEqual(['active', 'backup']);
    }
  });

  it('has one active node soon after, whatever the intervals are', () => {
    for (const seed of seeds) {
      const { world } = settled(seed);
      standStill(world, () => world.between(0.1, 10));
      const actives = nodeNames.filter((name) => world.nodes[name].state.kind === 'active');
      expect(actives, seedAndTrace(seed, world)).toHaveLength(1);
    }
  });

  /** Each node wakes up within a tenth of an interval, one or the other first. */
  function standStill(world: World, intervals: () => number): void {
    const { advertIntervalMs } = world.nodes.a.config;
    world.runUntil(world.nowMs + world.between(0, 1) * advertIntervalMs);
    for (const name of nodeNames) world.pause(world.nodes[name]);
    world.runUntil(world.nowMs + intervals() * advertIntervalMs);
    const [first, second] = world.chance(0.5) ? (['a', 'b'] as const) : (['b', 'a'] as const);
    world.resume(world.nodes[first]);
    world.runUntil(world.nowMs + world.between(0, 0.1) * advertIntervalMs);
    world.resume(world.nodes[second]);
    world.runUntil(world.nowMs + 10 * advertIntervalMs);
  }

  function shortIntervals(random: Random): Record<NodeName, RouterConfig> {
    const { a, b } = randomConfigs(random);
    const short = { version: 3, advertIntervalMs: random.next() < 0.5 ? 10 : 100 } as const;
    return { a: { ...a, ...short }, b: { ...b, ...short } };
  }
});

function settled(seed: number, configs = randomConfigs): { world: World; active: Node; backup: Node } {
  const world = new World(seed, configs);
  world.start(noHooks);
  const { advertIntervalMs } = world.nodes.a.config;
  world.runUntil(world.between(20, 22) * advertIntervalMs);
  const [active, backup] = world.nodes.a.state.kind === 'active' ? (['a', 'b'] as const) : (['b', 'a'] as const);
  return { world, active: world.nodes[active], backup: world.nodes[backup] };
}

function seedAndTrace(seed: number, world: World): string {
  return `seed ${seed}\n${world.trace.slice(-12).join('\n')}`;
}

describe('the invariants', () => {
  const broken: readonly { what: string; machine: typeof step; breach: RegExp }[] = [
    {
      what: 'ignores fences',
      machine: (config, state, input, nowMs) =>
        input.type === 'fence' ? { state, effects: [], ignored: undefined } : step(config, state, input, nowMs),
      breach: /two active for .* sync alive/,
    },
    {
      what: 'is never relieved of a fence',
      machine: (config, state, input, nowMs) =>
        input.type === 'fence-lifted' || input.type === 'peer-process-died'
          ? { state, effects: [], ignored: undefined }
          : step(config, state, input, nowMs),
      breach: /nobody active/,
    },
    {
      what: 'is deaf to adverts when active',
      machine: (config, state, input, nowMs) =>
        input.type === 'advert' && state.kind === 'active'
          ? { state, effects: [], ignored: undefined }
          : step(config, state, input, nowMs),
      breach: /two active for .* on a healthy LAN|active at the end/,
    },
    {
      what: 'takes a peer for dead at once when the sync link is reset',
      machine: (config, state, input, nowMs) => {
        const result = step(config, state, input, nowMs);
        if (input.type !== 'peer-process-died' || result.state.kind !== 'backup') return result;
        return { ...result, state: { ...result.state, activeDownAtMs: nowMs + 0.1, promotionCause: 'peer-died' } };
      },
      breach: /takes . for dead, which is active/,
    },
    {
      what: 'takes a peer for dead at once when the sync link is silent',
      machine: (config, state, input, nowMs) => {
        const result = step(config, state, input, nowMs);
        if (input.type !== 'peer-silent' || result.state.kind !== 'backup') return result;
        const soon = { activeDownAtMs: nowMs + 0.1, wakeAtMs: undefined, promotionCause: 'peer-silent' } as const;
        return { ...result, state: { ...result.state, ...soon } };
      },
      breach: /takes . for dead, which is active/,
    },
    {
      what: 'comes back from a fence by its down timer',
      machine: (config, state, input, nowMs) => {
        const result = step(config, state, input, nowMs);
        if (input.type !== 'fence' || result.state.kind !== 'backup') return result;
        const runningMs = state.kind === 'backup' ? state.activeDownAtMs : undefined;
        const activeDownAtMs = runningMs ?? nowMs + 4 * config.advertIntervalMs;
        return { ...result, state: { ...result.state, activeDownAtMs } };
      },
      breach: /changes .* after anything happened/,
    },
    {
      what: 'goes on after a stall as if it had been awake',
      machine: (config, state, input, nowMs) => {
        if (state.kind !== 'active') return step(config, state, input, nowMs);
        return step(config, { ...state, nextAdvertAtMs: Math.max(state.nextAdvertAtMs, nowMs) }, input, nowMs);
      },
      breach: /speaks as if it had not slept/,
    },
    {
      what: 'does not care whether its adverts are sent',
      machine: (config, state, input, nowMs) =>
        input.type === 'advert-send-failed'
          ? { state, effects: [], ignored: undefined }
          : step(config, state, input, nowMs),
      breach: /is active although nothing that it sends leaves it/,
    },
  ];

  it.each(broken)('catch a machine that $what', ({ machine, breach }) => {
    expect(() => {
      for (let seed = 1; seed <= seedCount; seed++) simulate(seed, machine);
    }).toThrow(breach);
  });
});

function simulate(seed: number, machine: typeof step = step): { world: World; invariants: Invariants } {
  const world = new World(seed, randomConfigs, machine);
  const invariants = new Invariants(seed, world, graceMs);
  world.start({
    observe: () => invariants.observe(),
    onTransition: (node, cause) => invariants.onTransition(node, cause),
    onAdvert: (node) => invariants.onAdvert(node),
    onChange: () => invariants.onChange(),
  });
  const virtualMs = Math.max(virtualMsMin, virtualIntervals * world.nodes.a.config.advertIntervalMs);
  while (world.nowMs < virtualMs) {
    const mend = strike(world, invariants.settleMs);
    world.runUntil(world.nowMs + world.between(0.2, 1.5) * invariants.settleMs);
    world.change('mend', mend);
    world.runUntil(world.nowMs + world.between(0.2, 1.5) * invariants.settleMs);
  }
  world.runUntil(world.nowMs + 3 * invariants.settleMs);
  invariants.expectOneActive();
  return { world, invariants };
}

function randomConfigs(random: Random): Record<NodeName, RouterConfig> {
  const pick = <Item>(...items: readonly [Item, ...Item[]]): Item =>
    items[Math.floor(random.next() * items.length)] ?? items[0];
  const version = pick<AdvertVersion>(3, 3, 3, 2);
  const advertIntervalMs = version === 2 ? pick(1000, 2000) : pick(30, 100, 200);
  const preempt = pick(true, false);
  const common = { version, advertIntervalMs, preempt, preemptDelayMs: pick(0, 0, 300) };
  return {
    a: { ...common, priority: pick(100, 200), ownAddress: Uint8Array.of(192, 0, 2, 251) },
    b: { ...common, priority: pick(50, 100, 150), ownAddress: Uint8Array.of(192, 0, 2, 252) },
  };
}

/** Does one bad thing, or two, at once or the second one into what the first has led to; returns how to mend it. */
function strike(world: World, settleMs: number): () => void {
  const mends = [strikeOnce(world)];
  if (world.chance(0.5)) {
    if (world.chance(0.7)) world.runUntil(world.nowMs + world.between(0, 1) * settleMs);
    mends.push(strikeOnce(world));
  }
  return () => {
    for (const mend of mends) mend();
  };
}

function strikeOnce(world: World): () => void {
  const node = world.nodes[world.chance(0.5) ? 'a' : 'b'];
  const faults: readonly ((world: World, node: Node) => () => void)[] = [
    loseAdverts,
    delayAdverts,
    reorderAdverts,
    cutOneWay,
    cutBothWays,
    cutSync,
    resetSync,
    hushSync,
    cutEverything,
    pause,
    jumpClock,
    kill,
    cutOff,
    takeLinkDown,
    refuseSends,
    refuseClaims,
    changePriority,
    failTracker,
    switchOver,
    resign,
    stopAndStart,
  ];
  const fault = faults[Math.floor(world.random.next() * faults.length)] ?? pause;
  let mend: (() => void) | undefined;
  world.change(`${fault.name} ${node.name}`, () => {
    mend = fault(world, node);
  });
  return mend ?? (() => undefined);
}

function loseAdverts(world: World): () => void {
  world.loss = world.between(0.05, 0.5);
  return () => (world.loss = 0);
}

function delayAdverts(world: World): () => void {
  world.hasJitter = true;
  return () => (world.hasJitter = false);
}

function reorderAdverts(world: World): () => void {
  world.isReordering = true;
  return () => (world.isReordering = false);
}

function cutOneWay(world: World, { name }: Node): () => void {
  world.isCutFrom[name] = true;
  return () => (world.isCutFrom[name] = false);
}

function cutBothWays(world: World): () => void {
  for (const name of nodeNames) world.isCutFrom[name] = true;
  return () => {
    for (const name of nodeNames) world.isCutFrom[name] = false;
  };
}

function cutSync(world: World): () => void {
  world.cutSync();
  return () => world.mendSync();
}

function resetSync(world: World): () => void {
  world.resetSync();
  return () => undefined;
}

function hushSync(world: World): () => void {
  world.hushSync();
  return () => undefined;
}

/** By less than an advert interval, or by many. */
function jumpClock(world: World, node: Node): () => void {
  world.jumpClock(node, world.between(0, world.chance(0.5) ? 1 : 20) * node.config.advertIntervalMs);
  return () => undefined;
}

function cutEverything(world: World): () => void {
  const mends = [cutBothWays(world), cutSync(world)];
  return () => {
    for (const mend of mends) mend();
  };
}

function pause(world: World, node: Node): () => void {
  if (node.isPaused || !node.isAlive) return () => undefined;
  world.pause(node);
  return () => {
    if (node.isPaused) world.resume(node);
  };
}

function kill(world: World, node: Node): () => void {
  if (!node.isAlive) return () => undefined;
  world.kill(node);
  return () => world.revive(node);
}

function cutOff(world: World, node: Node): () => void {
  if (!node.isAlive) return () => undefined;
  world.cutOff(node);
  return () => world.revive(node);
}

function takeLinkDown(world: World, node: Node): () => void {
  if (!node.isLinkUp) return () => undefined;
  node.isLinkUp = false;
  world.input(node, { type: 'link-down' });
  return () => {
    node.isLinkUp = true;
    world.input(node, { type: 'link-up' });
  };
}

function refuseSends(_world: World, node: Node): () => void {
  node.failsSends = true;
  return () => (node.failsSends = false);
}

function refuseClaims(_world: World, node: Node): () => void {
  node.failsClaims = true;
  return () => (node.failsClaims = false);
}

function changePriority(world: World, node: Node): () => void {
  const set = (priority: number): void => {
    world.input(node, { type: 'priority-changed', priority });
    world.sendRole(node);
  };
  set(Math.floor(world.between(1, 255)));
  return () => set(node.config.priority);
}

function failTracker(world: World, node: Node): () => void {
  const reason = `tracker ${world.random.next()}`;
  world.input(node, { type: 'fault', reason });
  return () => world.input(node, { type: 'fault-cleared', reason });
}

/** As the nodes do it: over the sync link, if there is one. */
function switchOver(world: World, node: Node): () => void {
  const other = world.nodes[otherOf(node.name)];
  if (world.syncSession === undefined || node.state.kind !== 'active') return () => undefined;
  const epoch = Math.max(node.state.epoch, other.state.epoch) + 1;
  world.input(node, { type: 'hand-over', graceMs });
  world.input(other, { type: 'take-over', epoch, graceMs });
  return () => undefined;
}

function resign(world: World, node: Node): () => void {
  world.input(node, { type: 'resign' });
  return () => undefined;
}

function stopAndStart(world: World, node: Node): () => void {
  world.input(node, { type: 'shutdown' });
  return () => world.input(node, { type: 'startup' });
}
