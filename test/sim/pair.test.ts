/** Hundreds of pairs, each through half a minute of faults: see `vrrp-invariants.ts` for what must hold. */
import { describe, expect, it } from 'vitest';
import type { Random } from '../../src/runtime/index.ts';
import type { RouterConfig, TransitionCause } from '../../src/vrrp/index.ts';
import { step } from '../../src/vrrp/index.ts';
import { Invariants } from './vrrp-invariants.ts';
import type { Node, NodeName } from './vrrp-world.ts';
import { nodeNames, otherOf, World } from './vrrp-world.ts';

const seedCount = 300;
const virtualMs = 30_000;
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
      'preempt',
      'startup',
      'shutdown',
      'link-up',
      'link-down',
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
        input.type === 'fence-lifted' ? { state, effects: [], ignored: undefined } : step(config, state, input, nowMs),
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
      what: 'comes back from a fence by its down timer',
      machine: (config, state, input, nowMs) => {
        const result = step(config, state, input, nowMs);
        if (input.type !== 'fence' || result.state.kind !== 'backup' || state.kind !== 'active') return result;
        const activeDownAtMs = nowMs + 4 * config.advertIntervalMs;
        return { ...result, state: { ...result.state, activeDownAtMs } };
      },
      breach: /changes .* after anything happened/,
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
    onChange: () => invariants.onChange(),
  });
  while (world.nowMs < virtualMs) {
    const mend = strike(world);
    world.runUntil(world.nowMs + world.between(0.2, 1.5) * invariants.settleMs);
    world.change('mend', mend);
    world.runUntil(world.nowMs + world.between(0.2, 1.5) * invariants.settleMs);
  }
  world.runUntil(world.nowMs + 2 * invariants.settleMs);
  invariants.expectOneActive();
  return { world, invariants };
}

function randomConfigs(random: Random): Record<NodeName, RouterConfig> {
  const pick = <Item>(...items: readonly [Item, ...Item[]]): Item =>
    items[Math.floor(random.next() * items.length)] ?? items[0];
  const advertIntervalMs = pick(30, 100, 200);
  const preempt = pick(true, false);
  const common = { version: 3, advertIntervalMs, preempt, preemptDelayMs: 0 } as const;
  return {
    a: { ...common, priority: pick(100, 200), ownAddress: Uint8Array.of(192, 0, 2, 251) },
    b: { ...common, priority: pick(50, 100, 150), ownAddress: Uint8Array.of(192, 0, 2, 252) },
  };
}

/** Does one bad thing, or two at once, and returns how to mend it. */
function strike(world: World): () => void {
  const mends = Array.from({ length: world.chance(0.35) ? 2 : 1 }, () => strikeOnce(world));
  return () => {
    for (const mend of mends) mend();
  };
}

function strikeOnce(world: World): () => void {
  const node = world.nodes[world.chance(0.5) ? 'a' : 'b'];
  const faults: readonly ((world: World, node: Node) => () => void)[] = [
    loseAdverts,
    delayAdverts,
    cutOneWay,
    cutBothWays,
    cutSync,
    cutEverything,
    pause,
    kill,
    takeLinkDown,
    refuseSends,
    refuseClaims,
    changePriority,
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
