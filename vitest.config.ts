import { defineConfig } from 'vitest/config';

/** One project a kind of test: `npx vitest run --project unit`. */
const project = (name: string, options: Record<string, unknown> = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    // What comes to be true does so on a machine that is busy as well.
    expect: { poll: { timeout: 30_000 } },
    ...options,
  },
});

/** A failed command shows what it printed. */
const commands = { setupFiles: ['test/e2e/harness/matchers.ts'] };

/** Starts nothing until a test asks for it. */
const s3 = { globalSetup: ['test/s3/global-setup.ts'] };

export default defineConfig({
  test: {
    projects: [
      project('unit'),
      project('contracts', { testTimeout: 120_000, ...s3 }),
      // What the API does with blobs, once more over S3.
      project('s3', {
        ...s3,
        include: ['test/api/distribution/*-blobs.test.ts', 'test/s3/*.test.ts'],
        testTimeout: 60_000,
        env: { TEST_STORAGE: 's3' },
      }),
      // What the API does with metadata, once more over PostgreSQL.
      project('postgres', {
        include: ['test/api/distribution/{pushing,pulling-manifests,listing,mounting,content}*.test.ts'],
        testTimeout: 60_000,
        env: { TEST_DATABASE: 'postgres' },
      }),
      project('api', { testTimeout: 60_000, ...s3, ...commands }),
      // End-to-end files share one kernel (bridges, ports, iptables), so they run one after another, after all others.
      project('e2e', {
        ...s3,
        ...commands,
        testTimeout: 240_000,
        hookTimeout: 300_000,
        fileParallelism: false,
        sequence: { groupOrder: 1 },
      }),
      project('architecture', { testTimeout: 120_000 }),
    ],
  },
});
