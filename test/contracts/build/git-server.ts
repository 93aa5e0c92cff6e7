import { execFile, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const BACKEND = '/usr/lib/git-core/git-http-backend';

/** Repositories over HTTP, by git's own CGI program; and what was asked of it. */
export class GitServer implements AsyncDisposable {
  readonly #server: Server;
  readonly root: string;
  readonly requests: string[] = [];
  /** What an Authorization header has to be, if anything. */
  authorization: string | undefined;

  private constructor(root: string) {
    this.root = root;
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async open(root: string, host = '127.0.0.1'): Promise<GitServer> {
    const server = new GitServer(root);
    await new Promise<void>((resolve) => server.#server.listen(0, host, resolve));
    return server;
  }

  url(name: string): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}/${name}`;
  }

  async create(name: string, ...options: string[]): Promise<void> {
    await mkdir(join(this.root, name), { recursive: true });
    await this.git(name, 'init', '--quiet', '-b', 'main', ...options);
  }

  /** Writes files and commits them; answers the commit. */
  async commit(name: string, files: Record<string, string>): Promise<string> {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(this.root, name, path)), { recursive: true });
      await writeFile(join(this.root, name, path), content);
    }
    await this.git(name, 'add', '-A');
    await this.git(name, 'commit', '--quiet', '-m', 'commit');
    return this.git(name, 'rev-parse', 'HEAD');
  }

  async git(name: string, ...args: string[]): Promise<string> {
    const identity = [
      '-c',
      'user.name=test',
      '-c',
      'user.email=test@localhost',
      '-c',
      'protocol.file.allow=always',
    ];
    const env = { PATH: process.env.PATH, HOME: this.root, GIT_COMMITTER_DATE: '2024-05-06T07:08:09Z' };
    const { stdout } = await run('git', [...identity, ...args], { cwd: join(this.root, name), env });
    return stdout.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url!, 'http://localhost');
    this.requests.push(`${request.method} ${url.pathname}${url.search}`);
    if (this.authorization !== undefined && request.headers.authorization !== this.authorization) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    const cgi = spawn(BACKEND, {
      env: {
        PATH: process.env.PATH,
        GIT_PROJECT_ROOT: this.root,
        GIT_HTTP_EXPORT_ALL: '1',
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: 'safe.directory',
        GIT_CONFIG_VALUE_0: '*',
        PATH_INFO: url.pathname.replace(/^(\/[^/]+)/, '$1/.git'),
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
        GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
        REMOTE_ADDR: '127.0.0.1',
      } as NodeJS.ProcessEnv,
    });
    request.pipe(cgi.stdin);
    const chunks: Buffer[] = [];
    cgi.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    cgi.on('close', () => {
      const answer = Buffer.concat(chunks);
      const end = answer.indexOf('\r\n\r\n');
      const headers = answer.subarray(0, end).toString().split('\r\n');
      for (const header of headers) {
        const [name = '', value = ''] = header.split(/: (.*)/);
        if (name === 'Status') response.statusCode = Number.parseInt(value, 10);
        else if (name) response.setHeader(name, value);
      }
      response.end(answer.subarray(end + 4));
    });
  }
}
