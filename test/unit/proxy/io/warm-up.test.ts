import { expect, test } from 'vitest';
import { relayDefaults, warmUp } from '../../../../src/proxy/io/index.ts';
import { loadNative, seededRandom, systemClock } from '../../../../src/runtime/index.ts';

const options = { ...relayDefaults, connectionsMax: 1_000 };
const dependencies = { native: loadNative(), clock: systemClock, random: seededRandom(1) };

test('a worker that warms up serves some hundred connections of its own', async () => {
  expect(await warmUp(options, dependencies)).toBeGreaterThanOrEqual(200);
});

test('two workers may do so at once', async () => {
  const [first, second] = await Promise.all([warmUp(options, dependencies), warmUp(options, dependencies)]);
  expect(Math.min(first, second)).toBeGreaterThanOrEqual(200);
});

test('where it does not work it is left out', async () => {
  const native = { ...loadNative(), tcpListen: () => -98 };
  expect(await warmUp(options, { ...dependencies, native })).toBe(0);
});
