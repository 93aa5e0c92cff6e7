import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { GitServer } from '../contracts/build/git-server.ts';
import type { Project, ProjectRun } from './projects.ts';
import { leftOnTerminal, plainText } from './shown-text.ts';
import { traceOf } from './trace.ts';

const DOWNLOADS: Readonly<Record<string, Buffer>> = {
  '/hello.txt': Buffer.from('hello\n'),
  '/other.txt': Buffer.from('other\n'),
  '/app.tar': Buffer.alloc(10240),
};

/** What one build told. */
export interface NamedTrace {
  /** `PROJECT-RUN`. */
  readonly name: string;
  readonly trace: string;
}

/** What projects are built from and with: a registry, downloads, repositories, and the stock client. */
export class World implements AsyncDisposable {
  readonly #folder: string;
  readonly #registry: string;
  readonly #clients: Clients;
  readonly #git: GitServer;
  readonly #downloads: Server;

  private constructor(parts: { folder: string; registry: string; git: GitServer; downloads: Server }) {
    this.#folder = parts.folder;
    this.#registry = parts.registry;
    this.#clients = createClients('unix:///nowhere');
    this.#git = parts.git;
    this.#downloads = parts.downloads;
  }

  static async open(registry: string): Promise<World> {
    const folder = mkdtempSync(join(tmpdir(), 'slipway-progress-'));
    const git = await GitServer.open(join(folder, 'git'));
    await git.create('repo.git');
    await git.commit('repo.git', {
      Dockerfile: 'FROM busybox\nCOPY file /\n',
      file: 'of a repository\n',
      'sub/Dockerfile': 'FROM busybox\nCOPY below /\n',
      'sub/below': 'below\n',
    });
    const downloads = createServer((request, response) => {
      const body = DOWNLOADS[request.url!];
      response.writeHead(body ? 200 : 404, body && { 'content-length': body.length, etag: '"one"' });
      response.end(request.method === 'HEAD' ? undefined : body);
    });
    await new Promise<void>((resolve) => downloads.listen(0, '127.0.0.1', resolve));
    return new World({ folder, registry, git, downloads });
  }

  /** Makes a builder known to the client by a name. */
  async connect(name: string, address: string): Promise<void> {
    const created = await this.#clients.buildx(['create', '--name', name, '--driver', 'remote', address]);
    if (created.code !== 0) throw new Error(created.stderr);
  }

  /** Builds a project as often as it says. */
  async *traces(builder: string, project: Project): AsyncGenerator<NamedTrace> {
    const place = join(this.#folder, builder, project.name);
    write(place, project.files);
    mkdirSync(join(this.#folder, builder, 'out'), { recursive: true });
    for (const run of project.runs) {
      write(place, run.changed ?? {});
      const name = `${project.name}-${run.name}`;
      const normal = (text: string) => this.#normal(text, builder, place);
      const { stderr } = await this.#clients.buildx(this.#command('rawjson', builder, place, run));
      yield { name, trace: normal(traceOf(stderr)) };
      if (!run.shown) continue;
      const plain = await this.#clients.buildx(this.#command('plain', builder, place, run));
      yield { name: `${name}-plain`, trace: normal(plainText(plain.stderr)) };
      using terminal = this.#clients.terminal(this.#command('tty', builder, place, run));
      await terminal.ends();
      yield { name: `${name}-tty`, trace: normal(await leftOnTerminal(terminal.output)) };
    }
  }

  #command(
    progress: string,
    builder: string,
    place: string,
    { args = [], context = '@CONTEXT@' }: ProjectRun,
  ): string[] {
    const filled = [...args, context].map((text) =>
      text
        .replaceAll('@REGISTRY@', this.#registry)
        .replaceAll('@FILES@', this.#files)
        .replaceAll('@GIT@', this.#repositories)
        .replaceAll('@OUT@', join(this.#folder, builder, 'out'))
        .replaceAll('@CONTEXT@', place)
        .replaceAll('@WHO@', builder),
    );
    return ['build', '--builder', builder, '--progress', progress, ...filled];
  }

  /** Without what differs from machine to machine, and from one run to the next. */
  #normal(text: string, builder: string, place: string): string {
    return (
      text
        .replaceAll(place, 'CONTEXT')
        .replaceAll(join(this.#folder, builder), 'FOLDER')
        .replaceAll(this.#files, 'FILES')
        .replaceAll(this.#repositories, 'GIT')
        .replaceAll(`${this.#registry}/${builder}/`, 'REGISTRY/WHO/')
        .replaceAll(this.#registry, 'REGISTRY')
        .replaceAll(`"${builder}"`, '"WHO"')
        .replaceAll(`remote:${builder}`, 'remote:WHO')
        .replace(/(?:sha256:)?[0-9a-f]{64}/g, 'sha256:…')
        // A terminal has no room for all of it.
        .replace(/@sha256:[0-9a-f]+/g, '@sha256:…')
        .replace(/\b[0-9a-f]{40}\b/g, 'COMMIT')
        .replace(/checksum of ref \S+:/g, 'checksum of ref REF:')
        .replace(/local:\d+/g, 'local:HASH')
    );
  }

  get #files(): string {
    return `http://127.0.0.1:${(this.#downloads.address() as AddressInfo).port}`;
  }

  get #repositories(): string {
    return this.#git.url('').replace(/\/$/, '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#clients[Symbol.dispose]();
    await this.#git[Symbol.asyncDispose]();
    this.#downloads.closeAllConnections();
    await new Promise<void>((resolve) => this.#downloads.close(() => resolve()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function write(place: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(place, path)), { recursive: true });
    writeFileSync(join(place, path), content);
  }
}
