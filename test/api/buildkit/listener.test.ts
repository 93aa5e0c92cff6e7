import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { listenForBuildkit } from '#cli/pool/buildkit-listener.ts';
import type { Config } from '#config/schema.ts';
import { TestAuthority } from '../../registry/certificates.ts';
import { startBuildkitWorker } from './buildkit-worker.ts';
import { type Clients, createClients } from './clients.ts';

let authority: TestAuthority;
let worker: Awaited<ReturnType<typeof startBuildkitWorker>>;
let clients: Clients;
let address: string;
const started = new AsyncDisposableStack();
const reloads: (() => void)[] = [];

beforeAll(async () => {
  authority = started.use(await TestAuthority.create());
  for (const name of ['worker', 'ada']) await authority.issue(name);
  worker = started.use(await startBuildkitWorker());
  clients = started.use(createClients(worker.engine));
  const tls = {
    certificate: authority.path('worker.pem'),
    key: authority.path('worker.key'),
    clientCa: authority.path('ca.pem'),
  };
  const listen = ['tcp://127.0.0.1:0'];
  const config = { worker: { buildkit: { listen, tls }, socketGroup: '' } } as unknown as Config;
  const { signal } = new AbortController();
  const role = {
    logger: pino({ level: 'silent' }),
    signal,
    onReload: (reload: () => void) => void reloads.push(reload),
  };
  [address] = (await listenForBuildkit(config.worker, { grpc: worker.grpc, role, started })) as [string];
});
afterAll(() => started.disposeAsync());

const workers = (...args: string[]) => clients.buildctl(address, [...args, 'debug', 'workers']);
const trust = () => ['--tlscacert', authority.path('ca.pem')];
const show = (name: string) => [
  '--tlscert',
  authority.path(`${name}.pem`),
  '--tlskey',
  authority.path(`${name}.key`),
];

it('serves clients whose certificate it trusts', async () => {
  expect(await workers(...trust(), ...show('ada'))).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('linux/'),
  });
});

it("refuses clients without one, with a stranger's, and without TLS", async () => {
  await using stranger = await TestAuthority.create();
  await stranger.issue('eve');
  const foreign = ['--tlscert', stranger.path('eve.pem'), '--tlskey', stranger.path('eve.key')];
  for (const args of [trust(), [...trust(), ...foreign], []]) {
    expect(await workers('--timeout', '1', ...args)).toMatchObject({ code: 1, stdout: '' });
  }
});

it('shows another certificate once it has read its files again', async () => {
  await authority.issue('worker', ['DNS:renewed']);
  for (const reload of reloads) reload();
  const renewed = [...trust(), '--tlsservername', 'renewed', ...show('ada')];
  expect(await workers(...renewed)).toSucceed();
});
