import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureDockerPy } from '../../setup/docker-py.mjs';
import { run } from '../e2e/harness/command.ts';
import { type Slipway, startSlipway } from '../e2e/harness/slipway.ts';
import { seed } from './seed.ts';
import { SuiteResults } from './suite-results.ts';

// npm run docker-py -- FOLDER [worker gateway:1 gateway:3] [-k EXPRESSION] [--api 1.44]: docker-py's own integration tests,
// unchanged, against a worker, and against a gateway with that many workers. FOLDER is a checkout of docker-py at the
// version that setup/docker-py.mjs names. Prints what did not pass, and what came out otherwise than against the first.

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    k: { type: 'string', short: 'k' },
    api: { type: 'string', default: '1.44' },
    // Files of this name tell what the suite and Slipway printed.
    log: { type: 'string' },
  },
});
const [folder, ...named] = positionals;
const targets = named.length > 0 ? named : ['worker', 'gateway:1', 'gateway:3'];
if (folder === undefined || !targets.every((target) => /^(?:worker|gateway:\d{1,2})$/.test(target))) {
  console.error(
    'usage: npm run docker-py -- FOLDER [worker] [gateway:WORKERS …] [-k EXPRESSION] [--api VERSION] [--log FILE]',
  );
  process.exit(2);
}
const suite = resolve(folder);
if (!existsSync(join(suite, 'tests/integration/base.py'))) {
  console.error(`${suite} is no checkout of docker-py: it has no tests/integration/base.py`);
  process.exit(2);
}

/** They ask no engine: contexts and stores of passwords. */
const clientsAlone = ['context_api_test.py', 'credentials'].map(
  (name) => `--ignore=tests/integration/${name}`,
);

const program = ensureDockerPy();
let first: SuiteResults | undefined;
let different = 0;
for (const target of targets) {
  const results = await play(target);
  results.print();
  if (first) different += results.printDifferences(first);
  first ??= results;
}
process.exit(different === 0 ? 0 : 1);

async function play(target: string): Promise<SuiteResults> {
  const [, workers] = target.split(':');
  await using slipway = await startSlipway({
    args: workers === undefined ? [] : ['--workers', workers],
    // Each worker gets a sixteenth.
    ...(workers !== undefined && {
      env: { SLIPWAY_WORKER_NETWORK_ADDRESS_POOLS: '[{ base: 10.219.0.0/16, size: 24 }]' },
    }),
  });
  await seed(slipway);
  return await suiteResults(target, slipway);
}

async function suiteResults(target: string, slipway: Slipway): Promise<SuiteResults> {
  const report = join(slipway.folder, 'report.xml');
  const temporary = join(slipway.folder, 'tmp');
  mkdirSync(temporary);
  const args = [
    '--tb=line',
    '--timeout=180',
    '-p',
    'no:cacheprovider',
    `--junitxml=${report}`,
    ...clientsAlone,
  ];
  if (values.k !== undefined) args.push('-k', values.k);
  const { stdout, stderr } = await run(program, [...args, 'tests/integration'], {
    cwd: suite,
    env: {
      ...process.env,
      ...slipway.clientEnv,
      DOCKER_TEST_API_VERSION: values.api,
      TMPDIR: temporary,
      PYTHONDONTWRITEBYTECODE: '1',
    },
  });
  if (!existsSync(report))
    throw new Error(`${target}: the suite did not come to its end\n${stdout}${stderr}`);
  if (values.log !== undefined) writeFileSync(`${values.log}.${target}`, `${stdout}\n${slipway.output}`);
  return new SuiteResults(target, readFileSync(report, 'utf8'));
}
