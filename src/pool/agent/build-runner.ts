import type { Credentials } from '#distribution/authorizer.ts';
import { parseImageReference } from '#oci/reference.ts';
import type { ProgressSink } from '#worker/build/solve/progress.ts';
import type { BuildClient } from '#worker/buildkit/client/build-client.ts';
import { FailedBuild } from '#worker/buildkit/client/failed-build.ts';
import type { Offers } from '#worker/buildkit/client/offers.ts';
import type { Publication } from '../jobs/job-queue.ts';
import type { BuildSpec } from '../jobs/specs.ts';
import { type Attempt, JobFailure, type JobRunner, type Made } from './job-runner.ts';

interface Ports {
  readonly client: BuildClient;
  readonly credentials: (domain: string) => Promise<Credentials | undefined>;
  /** Prints what happens in a build. */
  readonly progress: (write: (text: string) => void) => ProgressSink & Disposable;
}

/** Builds as BuildKit's clients do, and pushes what came of it by its digest: names are the queue's to give. */
export class BuildRunner implements JobRunner {
  readonly #ports: Ports;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  async run({ job, log, signal, openContext }: Attempt): Promise<Made> {
    const spec = job.spec as BuildSpec;
    const wanted = wantedNames(spec.tags);
    // What is printed goes as it comes, but a log that is slow to take it slows the build down by its output only.
    let written: Promise<void> = Promise.resolve();
    const write = (text: string) => {
      written = written.then(() => log(text));
    };
    const uploads = new Map<string, () => Promise<AsyncIterable<Uint8Array>>>();
    const request = {
      ref: `${job.id}-${job.attempt}`,
      options: optionsOf(spec, job.id),
      exporters: wanted.size > 0 ? [exporterOf([...wanted.keys()])] : [],
      cacheImports: [],
      cacheExports: [],
      entitlements: [],
    };
    if ('upload' in spec.context) {
      const { upload } = spec.context;
      uploads.set(`/${job.id}`, () => openContext(upload));
    }
    try {
      using shown = this.#ports.progress(write);
      const progress: ProgressSink = {
        vertex: (event) => shown.vertex(event),
        status: (event) => shown.status(event),
        warning: (event) => shown.warning(event),
        async log(event) {
          await shown.log(event);
          await written;
        },
      };
      const response = await this.#ports.client.build(request, this.#offers(uploads), { progress, signal });
      const digest = response['containerimage.digest'];
      if (wanted.size > 0 && !digest) throw new JobFailure('the build has made no image');
      return { result: { ...(digest && { digest }) }, publications: publicationsOf(wanted, digest) };
    } catch (error) {
      if (!(error instanceof FailedBuild)) throw error;
      write(`\n${error.excerpt}${error.message}\n`);
      throw new JobFailure(error.message, { exitCode: error.exitCode ?? null }, error);
    } finally {
      await written;
    }
  }

  #offers(uploads: Offers['uploads']): Offers {
    return {
      directories: new Map(),
      sharedKey: '',
      credentials: async (host) => {
        const credentials = await this.#ports.credentials(host);
        if (!credentials) return undefined;
        const { username = '', password, identityToken = '' } = credentials;
        return { username, secret: password ?? identityToken };
      },
      secrets: new Map(),
      agents: new Map(),
      outputs: new Map(),
      uploads,
    };
  }
}

function optionsOf(spec: BuildSpec, id: string): Record<string, string> {
  const options: Record<string, string> = {
    context: 'url' in spec.context ? spec.context.url : `http://buildkit-session/${id}`,
  };
  if (spec.file !== undefined) options.filename = spec.file;
  if (spec.target !== undefined) options.target = spec.target;
  if (spec.platforms.length > 0) options.platform = spec.platforms.join(',');
  if (spec.noCache) options['no-cache'] = '';
  for (const [name, value] of Object.entries(spec.args)) options[`build-arg:${name}`] = value;
  for (const [name, value] of Object.entries(spec.labels)) options[`label:${name}`] = value;
  return options;
}

/** Repositories, and the tags that are wanted in them. */
function wantedNames(names: readonly string[]): Map<string, string[]> {
  const wanted = new Map<string, string[]>();
  for (const name of names) {
    const { domain, path, tag = 'latest' } = parseImageReference(name);
    const repository = `${domain}/${path}`;
    wanted.set(repository, [...(wanted.get(repository) ?? []), tag]);
  }
  return wanted;
}

function exporterOf(repositories: readonly string[]) {
  return { type: 'image', attrs: { name: repositories.join(','), push: 'true', 'push-by-digest': 'true' } };
}

function publicationsOf(
  wanted: ReadonlyMap<string, readonly string[]>,
  digest: string | undefined,
): Publication[] {
  return [...wanted].map(([repository, tags]) => ({ repository, digest: digest!, tags }));
}
