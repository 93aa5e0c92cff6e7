import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { pino } from 'pino';
import type { ProgressSink } from '#worker/build/solve/progress.ts';
import { BuildClient } from '#worker/buildkit/client/build-client.ts';
import { FailedBuild } from '#worker/buildkit/client/failed-build.ts';
import { openContext } from '../build/build-context.ts';
import { offeredSecrets } from '../build/build-offers.ts';
import { buildOutputs } from '../build/build-outputs.ts';
import { dockerCredentials } from '../build/docker-credentials.ts';
import { frontendOptions, partsOf } from '../build/frontend-options.ts';
import { showProgress } from '../build/show-progress.ts';
import { offerAgents } from '../build/ssh-agents.ts';
import { TimeReport } from '../build/time-report.ts';
import { engineAddress, WorkerApi } from '../build/worker-api.ts';
import { Refusal } from '../refusal.ts';
import type { ClientCommand, ClientInvocation } from './command.ts';

const many = { type: 'string', multiple: true } as const;

/** `slipway build`: a client of the worker's BuildKit API, as buildx is one. */
export const build: ClientCommand = {
  summary: 'Build an image from a directory or a git repository, and say where the time went',
  arguments: ['[CONTEXT]'],
  options: {
    tag: { ...many, short: 't', value: 'NAME', description: 'What the image is called; repeatable' },
    file: { type: 'string', short: 'f', value: 'FILE', description: 'The Dockerfile; - for standard input' },
    target: { type: 'string', value: 'STAGE', description: 'Build up to this stage' },
    'build-arg': { ...many, value: 'NAME[=VALUE]', description: 'A build argument; repeatable' },
    'build-context': { ...many, value: 'NAME=WHERE', description: 'One more context; repeatable' },
    label: { ...many, value: 'NAME=VALUE', description: 'A label of the image; repeatable' },
    platform: { ...many, value: 'PLATFORM', description: 'For linux/amd64, linux/arm64 …; repeatable' },
    secret: { ...many, value: 'id=ID,src=FILE', description: 'A secret (or id=ID,env=NAME); repeatable' },
    ssh: { ...many, value: 'ID[=SOCKET|KEY,…]', description: 'An ssh agent, or keys; repeatable' },
    'add-host': { ...many, value: 'NAME:ADDRESS', description: 'One more line of /etc/hosts; repeatable' },
    network: { type: 'string', value: 'MODE', description: 'For RUN: default, none, host' },
    allow: { ...many, value: 'WHAT', description: 'What steps may use, such as network.host; repeatable' },
    attest: { ...many, value: 'type=TYPE,…', description: 'type=provenance or type=sbom; repeatable' },
    'cache-from': { ...many, value: 'type=TYPE,…', description: 'A cache of others to use; repeatable' },
    'cache-to': {
      ...many,
      value: 'type=TYPE,…',
      description: 'Where to write a cache for others; repeatable',
    },
    'no-cache': { type: 'boolean', description: 'Do every step again' },
    'no-cache-filter': { ...many, value: 'STAGE', description: 'Do the steps of a stage again; repeatable' },
    pull: { type: 'boolean', description: 'Look whether base images have changed' },
    push: { type: 'boolean', description: 'Push the image' },
    output: {
      ...many,
      short: 'o',
      value: 'WHERE',
      description: 'A directory, or type=TYPE,dest=…; repeatable',
    },
    iidfile: { type: 'string', value: 'FILE', description: "Write the image's ID there" },
    progress: {
      type: 'string',
      value: 'HOW',
      default: 'auto',
      description: 'auto, tty, plain, quiet, rawjson',
    },
    quiet: { type: 'boolean', short: 'q', description: "Print the image's ID alone" },
  },
  async run(invocation) {
    const { options, environment, signal } = invocation;
    const list = (name: string) => (options[name] ?? []) as readonly string[];
    const text = (name: string) => options[name] as string | undefined;
    const { exporters, outputs } = buildOutputs({
      tags: list('tag'),
      push: options.push === true,
      outputs: list('output'),
      stdout: process.stdout,
    });
    await using context = await openContext({
      context: invocation.arguments[0] ?? '.',
      file: text('file'),
      named: list('build-context'),
      stdin: process.stdin,
    });
    await using agents = await offerAgents(list('ssh'), environment);
    const offers = {
      directories: context.directories,
      uploads: context.uploads,
      sharedKey: context.sharedKey,
      credentials: (host: string) => dockerCredentials(environment.dockerConfig, host),
      secrets: offeredSecrets(list('secret'), environment),
      agents: agents.sockets,
      outputs,
    };
    const request = {
      ref: randomBytes(12).toString('hex'),
      options: { ...frontendOptions(options, environment), ...context.options },
      exporters,
      cacheImports: list('cache-from').map((part) => partsOf('--cache-from', part)),
      cacheExports: list('cache-to').map((part) => partsOf('--cache-to', part)),
      entitlements: list('allow'),
    };
    const client = new BuildClient({
      address: engineAddress(environment.host),
      log: pino({ enabled: false }),
    });
    const mode = options.quiet === true ? 'quiet' : text('progress')!;
    const response = await told(request.ref, mode, invocation, (progress) =>
      client.build(request, offers, { progress, signal }),
    );
    const id = response['containerimage.config.digest'] ?? response['containerimage.digest'] ?? '';
    const file = text('iidfile');
    if (file !== undefined) await writeFile(file, id);
    if (mode === 'quiet' && id) process.stdout.write(`${id}\n`);
  },
};

/** Shows a build, and says at its end where the time went. */
async function told(
  ref: string,
  mode: string,
  { environment, signal }: ClientInvocation,
  run: (progress: ProgressSink) => Promise<Readonly<Record<string, string>>>,
): Promise<Readonly<Record<string, string>>> {
  const report = new TimeReport();
  const quiet = mode === 'quiet' || mode === 'rawjson';
  const failure = { error: undefined as unknown };
  let response: Readonly<Record<string, string>> = {};
  {
    using shown = showProgress(mode, process.stderr, report);
    try {
      response = await run(shown.sink);
    } catch (error) {
      failure.error = error;
    }
  }
  const write = (text: string) => process.stderr.write(text);
  const canceled = signal.aborted;
  if (!quiet && !canceled) write(`\n${report.text(await reasons(new WorkerApi(environment.host), ref))}`);
  if (!quiet) write(`\nBuild ${ref}${canceled ? ' was cancelled' : ''}\n`);
  if (failure.error !== undefined) throw refusalOf(failure.error);
  return response;
}

function refusalOf(error: unknown): unknown {
  if (!(error instanceof FailedBuild)) return error;
  const { exitCode = 1, excerpt, message } = error;
  return new Refusal(`${excerpt && `\n${excerpt}`}${message}`, { exitCode: exitCode || 1, cause: error });
}

/** Why steps were done again; nothing from a worker that does not know. */
async function reasons(api: WorkerApi, ref: string): Promise<Map<string, string>> {
  interface Steps {
    readonly stepList?: readonly { readonly digest: string; readonly missed?: string }[];
  }
  try {
    const { stepList = [] } = await api.get<Steps>(`/builds/${ref}`);
    return new Map(stepList.flatMap(({ digest, missed }) => (missed ? [[digest, missed] as const] : [])));
  } catch {
    return new Map();
  }
}
