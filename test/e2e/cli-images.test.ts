import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seedImages } from '../images/stand-ins.ts';
import { run } from './harness/command.ts';
import { type DockerShell, dockerShell, refusal } from './harness/docker-shell.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** Images as the stock CLI handles them, as against a Docker Engine. */

let slipway: Slipway;
let docker: DockerShell;

beforeAll(async () => {
  slipway = await startSlipway();
  docker = dockerShell(slipway);
  await seedImages(slipway.registry, ['busybox']);
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

const imageId = (name: string) => docker.ok(`inspect -f {{.Id}} ${name}`);

describe('pull and push', () => {
  it('says what it does, and that there is nothing to do', async () => {
    const pulled = await docker.ok('pull busybox');
    expect(pulled).toMatch(
      /^Using default tag: latest\nlatest: Pulling from library\/busybox\n[0-9a-f]{12}: Pulling fs layer\n(.*\n)*[0-9a-f]{12}: Pull complete\nDigest: sha256:[0-9a-f]{64}\nStatus: Downloaded newer image for busybox:latest\ndocker.io\/library\/busybox:latest$/,
    );
    expect(await docker.ok('pull busybox')).toContain('\nStatus: Image is up to date for busybox:latest\n');
    expect(await docker.ok('pull --quiet busybox')).toBe('docker.io/library/busybox:latest');
  });

  it('pushes under a name of the registry, and pulls by tag and digest', async () => {
    const name = `${slipway.registry}/team/box`;
    await docker.ok(`tag busybox ${name}:1`);
    const pushed = await docker.ok(`push ${name}:1`);
    expect(pushed).toContain(`The push refers to repository [${name}]\n`);
    const [, digest] = /1: digest: (sha256:[0-9a-f]{64}) size: \d+$/.exec(pushed)!;
    expect(await docker.ok(`push ${name}:1`)).toContain(': Layer already exists\n');
    await docker.ok(`rmi ${name}:1`);
    await docker.ok(`pull ${name}@${digest}`);
    expect(await docker.ok(`images --digests --format {{.Digest}} ${name}`)).toBe(digest);
    await docker.ok(`rmi ${name}@${digest}`);
  });

  it.each([
    ['pull Bad', 'invalid reference format: repository name (library/Bad) must be lowercase'],
    ['push nosuch', 'tag does not exist: nosuch:latest'],
    ['tag nosuch other', 'No such image: nosuch:latest'],
    ['rmi nosuch', 'No such image: nosuch:latest'],
    ['history nosuch', 'No such image: nosuch:latest'],
    ['images --filter nosuch=x', "invalid filter 'nosuch'"],
    ['images --filter dangling=x -q', "invalid filter 'dangling=[x]'"],
    ['image prune --force --filter nosuch=x', "invalid filter 'nosuch'"],
  ])('refuses %s', async (line, message) => {
    const result = await docker.run(line);
    expect(result.code).toBe(1);
    if (line !== 'pull Bad') expect(result.stderr).toBe(refusal(message));
  });

  it('of what the registry does not have fails with its words', async () => {
    const result = await docker.run(`pull ${slipway.registry}/no/such:1`);
    expect(result).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Error response from daemon: .*(manifest unknown|not found)/),
    });
  });
});

describe('images', () => {
  beforeAll(async () => {
    await docker.ok('tag busybox other:tagged');
  });
  afterAll(() => docker.ok('rmi other:tagged'));

  it('are listed by name, tag and what a filter asks for', async () => {
    const [head, ...rows] = (await docker.ok('images')).split('\n');
    expect(head).toMatch(/^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE$/);
    expect(rows.map((row) => row.split(/ +/).slice(0, 2).join(':')).sort()).toEqual([
      'busybox:latest',
      'other:tagged',
    ]);
    for (const [filter, names] of [
      ['reference=busy*', 'busybox'],
      ['reference=*:tagged', 'other'],
      ['dangling=true', ''],
      ['label=nosuch', ''],
    ]) {
      expect(await docker.ok(`images --filter ${filter} --format {{.Repository}}`)).toBe(names);
    }
    expect(await docker.ok('images -q nosuch')).toBe('');
  });

  it('have a history and a configuration', async () => {
    expect(await docker.ok(`history --no-trunc --format '{{.CreatedBy}}' busybox`)).toContain('CMD ["sh"]');
    expect(await docker.ok(`inspect -f '{{json .Config.Cmd}} {{.Os}}' busybox`)).toBe('["sh"] linux');
    expect(await docker.ok(`inspect -f '{{json .RepoTags}}' busybox`)).toBe(
      '["busybox:latest","other:tagged"]',
    );
  });

  it('in use lose a name, but are not removed', async () => {
    await docker.ok('create --name user busybox');
    const id = await imageId('busybox');
    const short = (await docker.ok('inspect -f {{.Id}} user')).slice(0, 12);
    const refused = await docker.run(`rmi ${id}`);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('must be forced');
    const last = await docker.run('image rm other:tagged');
    expect(last.stdout).toBe('Untagged: other:tagged\n');
    expect((await docker.run('rmi busybox')).stderr).toBe(
      refusal(
        `conflict: unable to remove repository reference "busybox" (must force) - container ${short} is using its referenced image ${id.slice(7, 19)}`,
      ),
    );
    await docker.ok('rm user');
    await docker.ok('tag busybox other:tagged');
  });

  it('tell of their tags in events', async () => {
    const since = Math.floor(Date.now() / 1000);
    await docker.ok('tag busybox told:1');
    await docker.ok('rmi told:1');
    const until = Math.ceil(Date.now() / 1000) + 1;
    const events = await docker.ok(
      `events --since ${since} --until ${until} --filter type=image --format '{{.Action}} {{.Actor.Attributes.name}}'`,
    );
    expect(events.split('\n').slice(-2)).toEqual(['tag told:1', `untag ${await imageId('busybox')}`]);
  });
});

describe('archives', () => {
  it('keep an image, its names and its digest', async () => {
    const id = await imageId('busybox');
    const file = join(slipway.folder, 'saved.tar');
    await docker.ok(`save -o ${file} busybox`);
    const names = execFileSync('tar', ['-tf', file], { encoding: 'utf8' }).split('\n');
    expect(names).toEqual(expect.arrayContaining(['manifest.json', 'index.json', 'oci-layout']));
    await docker.ok('rmi busybox');
    expect(await docker.ok(`load -i ${file}`)).toBe('Loaded image: busybox:latest');
    expect(await imageId('busybox')).toBe(id);
    const packed = gzipSync(readFileSync(file));
    expect((await docker.run('load', { input: packed })).stdout).toBe('Loaded image: busybox:latest\n');
  });

  it('without a name give an image without one', async () => {
    const id = await imageId('busybox');
    const file = join(slipway.folder, 'nameless.tar');
    await docker.ok(`save -o ${file} ${id}`);
    expect(await docker.ok(`load -i ${file}`)).toBe(`Loaded image ID: ${id}`);
  });

  it('of containers are imported', async () => {
    await docker.ok('create --name exported busybox');
    const script = `docker export exported | docker import -c 'CMD ["echo","imported"]' -c 'ENV A=b' -m why - imported:1`;
    const imported = await run('bash', ['-o', 'pipefail', '-c', script], { env: slipway.clientEnv });
    expect(imported.stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
    expect(await docker.ok('run --rm imported:1')).toBe('imported');
    expect(await docker.ok('history --format {{.Comment}} imported:1')).toBe('why');
    await docker.ok('rm exported');
    await docker.ok('rmi imported:1');
  });

  it.each(['save nosuch', 'load -i /dev/null'])('refuses %s', async (line) => {
    const result = await docker.run(line);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/^Error response from daemon: /);
  });
});

it('prune removes what has no name, and with --all what nobody uses', async () => {
  const context = join(slipway.folder, 'pruned');
  mkdirSync(context);
  for (const text of ['1', '2']) {
    writeFileSync(join(context, 'Dockerfile'), `FROM busybox\nLABEL text=${text}\n`);
    await docker.ok(`build -q -t pruned ${context}`);
  }
  expect(await docker.ok('images -q --filter dangling=true')).toMatch(/^[0-9a-f]{12}$/);
  expect(await docker.ok('image prune --force')).toMatch(/^Deleted Images:\ndeleted: sha256:[0-9a-f]{64}\n/);
  expect(await docker.ok('images -q --filter dangling=true')).toBe('');
  await docker.ok('create --name keeper busybox');
  expect(await docker.ok('image prune --force --all')).toContain('untagged: pruned:latest\n');
  expect(await docker.ok('images --format {{.Repository}}')).toContain('busybox');
  await docker.ok('rm keeper');
});
