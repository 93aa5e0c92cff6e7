import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectUpgraded } from '#worker/buildkit/client/connection.ts';
import { GrpcClient } from '#worker/buildkit/grpc/grpc-client.ts';
import { Control } from '#worker/buildkit/proto/github.com/moby/buildkit/api/services/control/control_pb.ts';
import { succeed } from './harness/command.ts';
import { startTenantPool, type TenantPool } from './harness/tenant-pool.ts';

/** What tenants of one worker try to get of each other, and of the machine, by way of builds and archives. */

let pool: TenantPool;

beforeAll(async () => {
  pool = await startTenantPool();
});
afterAll(() => pool?.[Symbol.asyncDispose]());

/** A folder with a Dockerfile of these lines. */
async function context(name: string, ...lines: string[]): Promise<string> {
  const folder = join(pool.folder, name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'Dockerfile'), `${lines.join('\n')}\n`);
  return folder;
}

const build = (tenant: string, ...args: string[]) =>
  pool.docker(tenant, 'buildx', 'build', '--progress', 'plain', ...args);

/** How a tenant's client comes in. */
function connectionOf(tenant: string) {
  const { hostname: host, port } = new URL(pool.address.replace('tcp:', 'https:'));
  const pem = (name: string) => readFileSync(join(pool.folder, tenant, name));
  const tls = { ca: pem('ca.pem'), cert: pem('cert.pem'), key: pem('key.pem') };
  return { host, port: Number(port), tls };
}

/** BuildKit's API as a tenant's client reaches it. */
async function control(tenant: string): Promise<GrpcClient> {
  const { signal } = new AbortController();
  return new GrpcClient(await connectUpgraded(connectionOf(tenant), '/grpc', { signal }));
}

async function historyOf(tenant: string): Promise<string[]> {
  const client = await control(tenant);
  try {
    const refs: string[] = [];
    const call = client.stream(Control.method.listenBuildHistory, {});
    await call.send({ EarlyExit: true });
    call.end();
    for await (const event of call) refs.push(event.record?.Ref ?? '');
    return refs;
  } finally {
    client.close();
  }
}

it('builds of one are not seen by another, nor is what came of them', async () => {
  const lines = ['FROM busybox', 'RUN cat /proc/sys/kernel/random/uuid >/id', 'CMD ["cat", "/id"]'];
  const folder = await context('cached', ...lines);
  const made: Record<string, string> = {};
  for (const tenant of ['a', 'b']) {
    expect(await build(tenant, '--tag', 'made', folder)).toSucceed();
    made[tenant] = await pool.dockerOk(tenant, 'run', '--rm', 'made');
  }
  // The same base, the same step, on the same worker: done again, as only the one who did it may read what came of it.
  expect(made.a).not.toBe(made.b);
  expect(await build('a', '--tag', 'again', folder)).toSucceed();
  expect(await pool.dockerOk('a', 'run', '--rm', 'again')).toBe(made.a);

  const [ofA, ofB] = [await historyOf('a'), await historyOf('b')];
  expect(ofA.length).toBeGreaterThan(ofB.length);
  expect(ofA.filter((ref) => ofB.includes(ref))).toEqual([]);
  const client = await control('b');
  try {
    const none = 'x'.repeat(ofA[0]!.length);
    const said = async (ref: string) => {
      const call = client.stream(Control.method.status, {});
      await call.send({ Ref: ref });
      call.end();
      const seen: unknown[] = [];
      const failure = await (async () => {
        for await (const message of call) seen.push(message);
      })().then(
        () => 'none',
        (error: Error) => error.message.replaceAll(ref, '…'),
      );
      return { seen: seen.length, failure };
    };
    expect(await said(ofA[0]!)).toEqual(await said(none));
  } finally {
    client.close();
  }
  const listed = (await pool.docker('b', 'buildx', 'history', 'ls', '--format', '{{.Ref}}')).stdout;
  for (const ref of ofA) expect(listed).not.toContain(ref);
});

it('builds get nothing of the machine', async () => {
  const refused: [readonly string[], string][] = [
    [['--allow', 'network.host', '--network', 'host'], 'RUN true'],
    [['--allow', 'security.insecure'], 'RUN --security=insecure true'],
    [['--cgroup-parent', '/elsewhere'], 'RUN true'],
  ];
  for (const [at, [flags, line]] of refused.entries()) {
    const folder = await context(`refused-${at}`, '# syntax=docker/dockerfile:1-labs', 'FROM busybox', line);
    const { code, stderr } = await build('a', '--no-cache', ...flags, folder);
    expect({ flags, code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('not allowed'),
    });
  }
  for (const flags of [
    ['--network', 'host'],
    ['--cgroup-parent', '/elsewhere'],
  ]) {
    const folder = await context('classic', 'FROM busybox', 'RUN true');
    const classic = ['DOCKER_BUILDKIT=0', 'docker', 'build', ...flags, folder];
    const { code, stderr } = await pool.as('a', 'env', ...classic);
    expect({ flags, code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('policy does not allow'),
    });
  }
  // Of the machine's folders nothing is in a mount: its root is the context's, or a step's.
  const secret = join(pool.folder, 'of-the-machine');
  await writeFile(secret, 'nobody is to read this');
  const mounts = await context(
    'mounts',
    'FROM busybox',
    `RUN --mount=type=bind,source=/,target=/m cat /m${secret} /m/../../..${secret}`,
  );
  const { code, stdout, stderr } = await build('a', '--no-cache', mounts);
  expect(code).not.toBe(0);
  expect(stdout + stderr).not.toContain('nobody is to read this');
});

it('no build of one gets at what another’s client offers, by whatever it calls its session', async () => {
  const id = 'known-to-everybody';
  const leaving = new AbortController();
  const theirs = await connectUpgraded(connectionOf('b'), '/session', {
    headers: {
      'x-docker-expose-session-uuid': id,
      'x-docker-expose-session-name': 'theirs',
      'x-docker-expose-session-sharedkey': 'key',
      'x-docker-expose-session-grpc-method': [
        '/moby.filesync.v1.FileSync/DiffCopy',
        '/moby.buildkit.secrets.v1.Secrets/GetSecret',
      ],
    },
    signal: leaving.signal,
  });
  theirs.on('error', () => {});
  const client = await control('a');
  try {
    const solve = async (session: string) => {
      const reference = randomBytes(12).toString('hex');
      const asked = { Ref: reference, Session: session, Frontend: 'dockerfile.v0' };
      return await client.unary(Control.method.solve, asked).then(
        () => 'built',
        (error: Error) => error.message.replaceAll(session, '…').replaceAll(reference, '…'),
      );
    };
    const [one, two] = await Promise.all([solve(id), solve('nobodys')]);
    expect(one).not.toBe('built');
    expect(one).toBe(two);
  } finally {
    client.close();
    theirs.destroy();
  }
});

it('an archive brings only what is in it', async () => {
  const folder = await context(
    'private',
    'FROM busybox',
    'RUN echo of b alone >/secret',
    'CMD ["cat", "/secret"]',
  );
  expect(await build('b', '--tag', 'private', folder)).toSucceed();
  const layout = join(pool.folder, 'layout');
  await mkdir(layout);
  const archive = join(pool.folder, 'private.tar');
  await pool.dockerOk('b', 'save', '--output', archive, 'private');
  await succeed('tar', ['-xf', archive, '-C', layout]);
  // What b's image is made of, by digest, with the last layer left out: b's content, if anybody took it from there.
  const [{ Layers: layers }] = JSON.parse(readFileSync(join(layout, 'manifest.json'), 'utf8')) as [
    { Layers: string[] },
  ];
  await rm(join(layout, layers.at(-1)!));
  await succeed('tar', ['-cf', archive, '-C', layout, '.']);
  expect((await pool.docker('a', 'load', '--input', archive)).code).not.toBe(0);
  expect((await pool.docker('a', 'run', '--rm', 'private')).stdout).not.toContain('of b alone');

  // A layer that is a link to a file of the machine.
  await succeed('ln', ['-s', '/etc/hostname', join(layout, layers.at(-1)!)]);
  await succeed('tar', ['-cf', archive, '-C', layout, '.']);
  expect((await pool.docker('a', 'load', '--input', archive)).code).not.toBe(0);
  expect(await pool.dockerOk('b', 'run', '--rm', 'private')).toBe('of b alone');
});

it('a worker answers no tenant that comes to it directly', async () => {
  const pretended = [undefined, 'operator', 'b'];
  for (const tenant of pretended) {
    const headers: Record<string, string> = tenant === undefined ? {} : { 'Slipway-Tenant': tenant };
    for (const certificate of ['a', undefined]) {
      const asked = pool.ask(
        '/containers/json',
        { headers, ...(certificate && { certificate }) },
        pool.workerAddress,
      );
      const status = await asked.then(
        ({ status: code }) => code,
        () => 401,
      );
      expect({ tenant, certificate, status }).toMatchObject({ status: 401 });
    }
  }
});
