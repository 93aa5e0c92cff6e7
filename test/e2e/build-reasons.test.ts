import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

// What a second build of the stock clients costs: which steps it does again and why, and what it sends.

const MIB = 1024 * 1024;
const CONTEXT_FILES = 40;

let slipway: Slipway;
let clients: Clients;
let context: string;
let counted: Server;
/** Bytes that clients have sent since it was last set. */
let sent = 0;

beforeAll(async () => {
  slipway = await startSlipway({ buildkit: true });
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  clients = createClients(`unix://${slipway.socket}`);
  counted = createServer((client) => relay(client, connect(slipway.buildkit.slice('unix://'.length))));
  await new Promise<void>((resolve) => counted.listen(0, '127.0.0.1', resolve));
  const { port } = counted.address() as AddressInfo;
  await clients.buildx(['create', '--name', 'counted', '--driver', 'remote', `tcp://127.0.0.1:${port}`]);
  context = join(slipway.folder, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'package.json'), '{"version":0}');
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM busybox\nCOPY package.json /app/\nRUN echo needle in a log\nCOPY . /app\n',
  );
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  counted?.close();
  await slipway?.[Symbol.asyncDispose]();
});

function relay(client: Socket, worker: Socket): void {
  client.on('data', ({ length }) => {
    sent += length;
  });
  for (const [from, to] of [
    [client, worker],
    [worker, client],
  ] as const) {
    from.pipe(to);
    from.once('error', () => to.destroy());
    from.once('close', () => to.destroy());
  }
}

interface Step {
  readonly name: string;
  readonly cached: boolean;
  readonly missed?: string;
}

async function api<T>(path: string): Promise<T> {
  const text = await new Promise<string>((resolve, reject) => {
    const asked = request({ socketPath: slipway.socket, path: `/api/v1${path}` }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.once('end', () => resolve(body));
    });
    asked.once('error', reject).end();
  });
  return JSON.parse(text) as T;
}

/** Steps of the last build that did something again, with the reason. */
async function reasons(): Promise<Record<string, string>> {
  const { items } = await api<{ items: { id: string }[] }>('/builds?limit=1');
  const { stepList } = await api<{ stepList: Step[] }>(`/builds/${items[0]!.id}`);
  const missed = stepList.filter((step) => step.missed !== undefined);
  return Object.fromEntries(missed.map(({ name, missed: why }) => [name.replace(/^.*?\] /, ''), why!]));
}

interface Found {
  readonly items: readonly { readonly line: string }[];
  readonly next?: string;
}

function search(text: string, cursor?: string): Promise<Found> {
  const query = new URLSearchParams({ q: text, ...(cursor && { cursor }) });
  return api<Found>(`/builds/search?${query}`);
}

describe('what a build of the stock clients does again is told with its reason', () => {
  const file = () => join(slipway.folder, 'compose.yaml');
  const bake = () => join(slipway.folder, 'bake.json');

  beforeAll(() => {
    writeFileSync(file(), JSON.stringify({ services: { web: { build: context, image: 'composed' } } }));
    const target = { context, output: ['type=cacheonly'] };
    writeFileSync(bake(), JSON.stringify({ target: { default: target } }));
  });

  it.each<[string, () => string[]]>([
    ['docker buildx build', () => ['buildx', 'build', '--builder', 'default', '--load', context]],
    [
      'docker buildx bake',
      () => ['buildx', 'bake', '--builder', 'default', '--allow', 'fs.read=*', '--file', bake()],
    ],
    ['docker compose build', () => ['compose', '--file', file(), 'build']],
    ['docker build without BuildKit', () => ['build', context]],
  ])('%s', async (name, args) => {
    const env = { ...clients.env, DOCKER_BUILDKIT: name.includes('without') ? '0' : '1' };
    const build = async () => {
      const { code, stderr } = await clients.docker(args(), { env });
      expect({ code, stderr }).toSucceed();
    };
    writeFileSync(join(context, 'package.json'), `{"before":"${name}"}`);
    await build();
    await build();
    expect(await reasons()).toEqual({});
    writeFileSync(join(context, 'package.json'), `{"after":"${name}"}`);
    await build();
    const changed = 'content of package.json changed';
    expect(await reasons()).toEqual({
      'COPY package.json /app/': changed,
      'RUN echo needle in a log': expect.stringMatching(
        /^an input was rebuilt: (?:\[2\/4\] )?COPY package.json \/app\/$/,
      ),
      'COPY . /app': expect.stringContaining(changed),
    });
  });

  it('with logs that are found by what they say', async () => {
    // A search that takes long answers where to go on.
    let page = await search('NEEDLE IN');
    while (page.items.length === 0 && page.next) page = await search('NEEDLE IN', page.next);
    expect(page.items[0]!.line).toContain('needle in a log');
  });
});

it('an unchanged context is sent as a list of files, and a changed one as what has changed', async () => {
  const large = join(slipway.folder, 'large');
  mkdirSync(large);
  for (let i = 0; i < CONTEXT_FILES; i++) writeFileSync(join(large, `${i}`), randomBytes(MIB));
  writeFileSync(join(large, 'Dockerfile'), 'FROM scratch\nCOPY . /\n');
  const build = async () => {
    sent = 0;
    const args = ['build', '--builder', 'counted', '--output', 'type=cacheonly', large];
    const { code, stderr } = await clients.buildx(args);
    expect({ code, stderr }).toSucceed();
    return sent;
  };
  expect(await build()).toBeGreaterThan(CONTEXT_FILES * MIB);
  expect(await build()).toBeLessThan(64 * 1024);
  writeFileSync(join(large, '7'), randomBytes(MIB));
  const changed = await build();
  expect(changed).toBeGreaterThan(MIB);
  expect(changed).toBeLessThan(1.1 * MIB);
});
