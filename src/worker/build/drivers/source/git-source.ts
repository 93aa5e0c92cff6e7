import { mkdir } from 'node:fs/promises';
import { unavailable } from '#errors/errors.ts';
import type { HostFacts } from '#worker/runtime/host/host-facts.ts';
import { sourceDigest } from '../../cache/portable/source-digest.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { Vertex } from '../../llb/vertex.ts';
import type { WantedMeta } from '../../policy/source-meta.ts';
import type { BuildSession } from '../../session/build-session.ts';
import type { CacheMap, OpContext } from '../../solve/op-driver.ts';
import type { Ref } from '../../solve/ref.ts';
import type { AddressPolicy } from './address-policy.ts';
import { GitProgram } from './git-program.ts';
import { type GitRequest, parseGitSource } from './git-remote.ts';
import type { GitRepositories, ResolvedCommit } from './git-repository.ts';
import type { DescribeContext, Description, Source } from './source-driver.ts';

export interface GitSourcePorts {
  readonly repositories: GitRepositories;
  readonly policy: AddressPolicy;
  readonly host: HostFacts;
}

/** Work trees of repositories, at a commit. Within a session a ref stands for one and the same commit. */
export class GitSource implements Source {
  readonly schemes = ['git'];
  readonly #ports: GitSourcePorts;
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #resolved = new WeakMap<BuildSession, Map<string, Promise<ResolvedCommit>>>();

  /** `directory` is for what git needs while it runs; a file or pack of more than `maxBytes` is refused. */
  constructor(ports: GitSourcePorts, options: { directory: string; maxBytes: number }) {
    this.#ports = ports;
    this.#directory = options.directory;
    this.#maxBytes = options.maxBytes;
  }

  async cacheMap(vertex: Vertex<SourceOp>, context: OpContext): Promise<CacheMap> {
    const request = parseGitSource(vertex.op);
    const resolved = await this.#resolve(request, context);
    if (resolved.commit !== resolved.ref) await this.#tell(vertex, resolved, context);
    const key = keyOf(request, resolved);
    const portable = [sourceDigest(key)];
    return { digest: `git:${key}`, resolved: resolved.commit, portable, inputs: [] };
  }

  async run(vertex: Vertex<SourceOp>, context: OpContext): Promise<Ref> {
    const request = parseGitSource(vertex.op);
    const resolved = await this.#resolve(request, context);
    await using git = await this.#open(request, context);
    const checkout = await this.#ports.repositories.checkout(git, request, resolved);
    const { root, fetched } = context.resources.use(checkout);
    if (!fetched) context.reused();
    const id = `git:${request.remote} ${keyOf(request, resolved)}`;
    // The next checkout of it is somewhere else.
    return { kind: 'directory', root, id, passing: true };
  }

  async describe(
    source: SourceOp,
    { gitObjects }: WantedMeta,
    context: DescribeContext,
  ): Promise<Description> {
    const request = parseGitSource(source);
    const resolved = await this.#resolve(request, context);
    const { commit, ref, tag } = resolved;
    if (gitObjects) {
      await using git = await this.#open(request, context);
      const objects = await this.#ports.repositories.objects(git, request, resolved);
      return { git: { ref, ...objects } };
    }
    const named = tag !== undefined && !request.keepGitDir ? { commitChecksum: commit } : {};
    return { git: { ref, checksum: tag ?? commit, ...named } };
  }

  /** What a ref was found to be, as `git ls-remote` prints it. */
  #tell({ digest: vertex }: Vertex, { commit, ref }: ResolvedCommit, { progress }: OpContext): Promise<void> {
    const data = Buffer.from(`${commit}\t${ref}\n`);
    return progress.log({ vertex, stream: 'stdout', data, timestamp: new Date() });
  }

  #resolve(request: GitRequest, context: GitContext): Promise<ResolvedCommit> {
    const owner = context.session.original ?? context.session;
    const known = this.#resolved.get(owner) ?? new Map<string, Promise<ResolvedCommit>>();
    this.#resolved.set(owner, known);
    const key = JSON.stringify([request.remote, request.ref, request.checksum]);
    const running = known.get(key);
    if (running) return running;
    const resolving = this.#ask(request, context);
    known.set(key, resolving);
    resolving.catch(() => known.delete(key));
    return resolving;
  }

  async #ask(request: GitRequest, context: GitContext): Promise<ResolvedCommit> {
    await using git = await this.#open(request, context);
    return await this.#ports.repositories.resolve(git, request);
  }

  async #open(request: GitRequest, { session, signal }: GitContext): Promise<GitProgram> {
    const { policy, host } = this.#ports;
    const { path: git, package: debianPackage } = host.tools.git;
    if (!git) throw unavailable(`git sources need git on the worker: apt-get install ${debianPackage}`);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const tools = { git, socat: host.tools.socat.path, policy, maxBytes: this.#maxBytes };
    return GitProgram.open(tools, request, { directory: this.#directory, session, signal });
  }
}

type GitContext = Pick<OpContext, 'session' | 'signal'>;

function keyOf(request: GitRequest, { commit, ref }: ResolvedCommit): string {
  const { keepGitDir, subdir, submodules, commitTimes } = request;
  return [
    commit,
    keepGitDir ? `.git#${ref}` : '',
    subdir ? `:${subdir}` : '',
    submodules ? '' : '(skip-submodules)',
    commitTimes ? '(mtime=commit)' : '',
  ].join('');
}
