// SPDX-License-Identifier: GPL-2.0-only
// One project a kind of test, so that scripts/test.mjs can run them apart: `npx vitest run --project unit`.
import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vitest/config';

/** A suite of an hour is not a hang. */
function sizeOfTrustMs() {
  return (Number(process.env['DIOLAB_TRUST_MINUTES'] ?? 0) * 10 + 10) * 60_000;
}

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['engine/**/*.test.ts', 'main/**/*.test.ts', 'scripts/**/*.test.ts'],
          environment: 'node',
          // Only a hang should end a test: a busy machine is slow.
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        plugins: [vue()],
        test: {
          name: 'renderer',
          include: ['renderer/**/*.test.ts'],
          environment: 'happy-dom',
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          environment: 'node',
          testTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'property',
          include: ['test/property/**/*.test.ts'],
          environment: 'node',
          testTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'native',
          include: ['test/native/**/*.test.ts'],
          environment: 'node',
          testTimeout: 300_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        // Full sizes come from `npm run trust`; by itself each suite is small, and `npm test` runs it so.
        test: {
          name: 'trust',
          include: ['test/trust/**/*.test.ts'],
          environment: 'node',
          testTimeout: sizeOfTrustMs(),
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'packaging',
          include: ['test/packaging/**/*.test.ts'],
          environment: 'node',
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          // Each file has a browser and a host of its own, on ports that are free.
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          environment: 'node',
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
