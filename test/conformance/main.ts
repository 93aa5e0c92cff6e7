import { randomBytes } from 'node:crypto';
import { accessSync, constants, mkdirSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '#errors/errors.ts';
import { run } from '../e2e/harness/command.ts';
import { startSlipway } from '../e2e/harness/slipway.ts';
import { type Report, readReport } from './report.ts';

// npm run conformance -- BINARY: the official suite (opencontainers/distribution-spec, folder conformance) against this
// Slipway. The suite is in no package registry: build it with `go build` and name the file.

interface Round {
  readonly name: string;
  /** Of the suite. */
  readonly suite: Readonly<Record<string, string>>;
  /** Of Slipway. */
  readonly slipway?: Readonly<Record<string, string>>;
}

/** What the suite leaves out by itself, in one version or in both. */
const everything = {
  OCI_API_BLOBS_DIGEST_HEADER: 'true',
  OCI_API_BLOBS_UPLOAD_CANCEL: 'true',
  OCI_API_MANIFESTS_DIGEST_HEADER: 'true',
  OCI_API_MANIFESTS_TAG_PARAM: 'true',
  OCI_DATA_SPARSE: 'true',
};

const password = randomBytes(16).toString('hex');
const login = { OCI_USERNAME: 'admin', OCI_PASSWORD: password };
const accounts = {
  SLIPWAY_REGISTRY_AUTH_MODE: 'token',
  SLIPWAY_REGISTRY_AUTH_INITIAL_ADMIN_PASSWORD: password,
};

const rounds: readonly Round[] = ['stable', 'dev'].flatMap((version) => [
  { name: version, suite: { OCI_VERSION: version } },
  {
    name: `${version} with everything`,
    suite: { OCI_VERSION: version, ...everything },
    slipway: { SLIPWAY_REGISTRY_API_SPARSE_IMAGES: 'true' },
  },
  { name: `${version} with logins`, suite: { OCI_VERSION: version, ...login }, slipway: accounts },
]);

const { positionals } = parseArgs({ allowPositionals: true });
const [binary] = positionals;
if (binary === undefined || positionals.length > 1) {
  console.error('usage: npm run conformance -- BINARY');
  process.exit(2);
}
const program = resolve(binary);
try {
  accessSync(program, constants.X_OK);
} catch {
  console.error(`${program} is not a program`);
  process.exit(2);
}

let good = true;
for (const round of rounds) good = (await play(round)) && good;
process.exit(good ? 0 : 1);

/** Each round has a registry of its own, as empty as the suite expects it. */
async function play({ name, suite, slipway: env = {} }: Round): Promise<boolean> {
  await using slipway = await startSlipway({ command: 'registry', env });
  const results = resolve('.cache/conformance', name.replaceAll(/\W+/g, '-'));
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  const environment = {
    OCI_REGISTRY: slipway.registry,
    OCI_TLS: 'disabled',
    OCI_REPO1: 'conformance/one',
    OCI_REPO2: 'conformance/two',
    OCI_RESULTS_DIR: results,
    ...suite,
  };
  const { code, stderr } = await run(program, [], { cwd: results, env: { ...process.env, ...environment } });
  try {
    const report = readReport(results);
    print(name, report);
    return code === 0 && report.failures.length === 0 && report.failed === 0;
  } catch (error) {
    console.error(`${name}: ${messageOf(error)}\n${stderr}`);
    return false;
  }
}

function print(name: string, report: Report): void {
  const { passed, failed, skipped, disabled, total } = report;
  console.log(
    `${name}: ${passed} passed, ${failed} failed, ${skipped} skipped, ${disabled} disabled of ${total}`,
  );
  for (const failure of report.failures) console.log(`  ${failure.replaceAll('\n', '\n    ')}`);
}
