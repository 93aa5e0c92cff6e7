import { createInterface } from 'node:readline';
import { isKind, messageOf, unavailable } from '#errors/errors.ts';
import { parseImageReference } from '#oci/reference.ts';
import type { Publication } from '../jobs/job-queue.ts';
import type { RunSpec } from '../jobs/specs.ts';
import type { ArtifactPusher } from './artifact-pusher.ts';
import type { EngineApi } from './engine-api.ts';
import { type Attempt, JobFailure, type JobRunner, type Made } from './job-runner.ts';
import { logFrames } from './log-frames.ts';

/** On the containers of jobs: which job's. */
export const JOB_LABEL = 'io.slipway.job';
/** Seconds that a process has to end by itself once its job is to end. */
const STOP_GRACE = 5;

interface Ports {
  readonly engine: EngineApi;
  readonly artifacts: ArtifactPusher;
  /** For pulling: the `X-Registry-Auth` of a registry, if there is any. */
  readonly registryAuth: (domain: string) => Promise<string | undefined>;
}

interface Ended {
  readonly State: { readonly ExitCode: number; readonly OOMKilled: boolean; readonly Error?: string };
}

/** Runs an image as `docker run` does, keeps what it writes, and pushes what it leaves. */
export class RunRunner implements JobRunner {
  readonly #ports: Ports;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  async run({ job, log, signal }: Attempt): Promise<Made> {
    const spec = job.spec as RunSpec;
    const { engine } = this.#ports;
    await this.#pull(spec.image, signal);
    signal.throwIfAborted();
    // Not broken off: an engine that was asked makes the container, and whoever does not hear of it leaves it there.
    const { Id: id } = await blamed(
      engine.ask<{ Id: string }>('POST', '/containers/create', {
        query: { name: `slipway-job-${job.id}-${job.attempt}` },
        body: containerOf(spec, job.id),
      }),
    );
    try {
      signal.throwIfAborted();
      await blamed(engine.ask('POST', `/containers/${id}/start`));
      const state = await this.#watch(id, log, signal);
      signal.throwIfAborted();
      const result = { exitCode: state.ExitCode, ...(state.OOMKilled && { outOfMemory: true }) };
      if (state.ExitCode !== 0) {
        const why = state.OOMKilled ? 'out of memory' : `exit code ${state.ExitCode}`;
        throw new JobFailure(why, result);
      }
      return { result, publications: await this.#keep(id, spec.artifacts, signal) };
    } finally {
      await engine
        .ask('DELETE', `/containers/${id}`, { query: { force: '1', v: '1' } })
        .catch((error: unknown) => {
          if (!isKind(error, 'not-found')) throw error;
        });
    }
  }

  /** Follows a container to its end, which comes soon when the signal aborts. */
  async #watch(id: string, log: Attempt['log'], signal: AbortSignal): Promise<Ended['State']> {
    const { engine } = this.#ports;
    const stop = () =>
      void engine
        .ask('POST', `/containers/${id}/stop`, { query: { t: String(STOP_GRACE) } })
        .catch(() => undefined);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop);
    try {
      const query = { follow: '1', stdout: '1', stderr: '1' };
      const answer = await engine.open('GET', `/containers/${id}/logs`, { query });
      try {
        for await (const bytes of logFrames(answer)) {
          await log(bytes);
          // Whoever writes without end is stopped all the same.
          if (signal.aborted) break;
        }
      } finally {
        answer.destroy();
      }
      await engine.ask('POST', `/containers/${id}/wait`);
      return (await engine.ask<Ended>('GET', `/containers/${id}/json`)).State;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** The image as it is in its registry now; what nobody can pull may be here. */
  async #pull(image: string, signal: AbortSignal): Promise<void> {
    const { engine, registryAuth } = this.#ports;
    const { domain, tag, digest } = parseImageReference(image);
    const auth = await registryAuth(domain);
    const named: Record<string, string> = tag === undefined && digest === undefined ? { tag: 'latest' } : {};
    try {
      const answer = await engine.open('POST', '/images/create', {
        query: { fromImage: image, ...named },
        ...(auth && { headers: { 'x-registry-auth': auth } }),
        signal,
      });
      for await (const line of createInterface({ input: answer })) {
        const { error } = JSON.parse(line) as { error?: string };
        if (error !== undefined) throw unavailable(error);
      }
    } catch (error) {
      signal.throwIfAborted();
      const here = await engine.ask('GET', `/images/${image}/json`).then(
        () => true,
        () => false,
      );
      if (here) return;
      if (/not found|unknown|denied|unauthorized|not exist|invalid|does not allow/i.test(messageOf(error))) {
        throw new JobFailure(`image ${image}: ${messageOf(error)}`, {}, error);
      }
      throw error;
    }
  }

  async #keep(id: string, artifacts: RunSpec['artifacts'], signal: AbortSignal): Promise<Publication[]> {
    const { engine, artifacts: pusher } = this.#ports;
    const kept: Publication[] = [];
    for (const { path, name } of artifacts) {
      const archive = await blamed(
        engine.open('GET', `/containers/${id}/archive`, { query: { path }, signal }),
        `artifact ${path}: `,
      );
      kept.push(await pusher.push(name, archive, { path, signal }));
    }
    return kept;
  }
}

/** What the engine refuses is the job's own fault. */
async function blamed<T>(asked: Promise<T>, prefix = ''): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    const own = isKind(error, 'invalid') || isKind(error, 'not-found') || isKind(error, 'forbidden');
    if (!own) throw error;
    throw new JobFailure(`${prefix}${error.message}`, {}, error);
  }
}

function containerOf(spec: RunSpec, job: string): Record<string, unknown> {
  const { cpus, memory, pids } = spec.limits;
  return {
    Image: spec.image,
    ...(spec.command && { Cmd: spec.command }),
    ...(spec.entrypoint && { Entrypoint: spec.entrypoint }),
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    ...(spec.workdir !== undefined && { WorkingDir: spec.workdir }),
    ...(spec.user !== undefined && { User: spec.user }),
    Labels: { [JOB_LABEL]: job },
    HostConfig: {
      NetworkMode: spec.network,
      ...(cpus !== undefined && { NanoCpus: Math.round(cpus * 1e9) }),
      ...(memory !== undefined && { Memory: memory }),
      ...(pids !== undefined && { PidsLimit: pids }),
      LogConfig: { Type: 'json-file', Config: { 'max-size': '16m', 'max-file': '2' } },
    },
  };
}
