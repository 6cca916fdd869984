import { defineConfig } from 'vitest/config';

// Three projects, from the quickest to the slowest. Only the lab needs root (or user namespaces) and Debian packages.
const report = process.env.TANDEM_TEST_REPORT;

export default defineConfig({
  test: {
    reporters: [
      'default',
      ...(report === undefined ? [] : [['json', { outputFile: report }] as ['json', { outputFile: string }]]),
    ],
    projects: [
      { test: { name: 'structure', include: ['test/tidy.test.ts'] } },
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/scenarios/**/*.test.ts', 'test/sim/**/*.test.ts'],
          // The files leave nothing behind for each other; a process for each would cost a third of the time.
          isolate: false,
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts', 'test/interop/**/*.test.ts'],
          // One machine, two cores: labs run one after the other, so that one never starves another's adverts.
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
