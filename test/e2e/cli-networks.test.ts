import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type DockerShell, dockerShell, refusal, runRefusal } from './harness/docker-shell.ts';
import { freePorts } from './harness/free-port.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** `docker network` and published ports as against a Docker Engine. */

let slipway: Slipway;
let docker: DockerShell;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker' });
  docker = dockerShell(slipway);
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  await docker.ok('network create --label k=v --internal closed');
  await docker.ok('network create open');
  await docker.ok('run -d --name server --network open --network-alias web busybox sleep 1000');
});
afterAll(() => slipway?.[Symbol.asyncDispose]());

describe('network ls', () => {
  it('shows what a format asks for', async () => {
    const shown = await docker.ok(
      `network ls --format '{{.Name}} {{.Driver}} {{.Scope}} {{.Internal}} {{.Labels}}'`,
    );
    expect(shown.split('\n').sort()).toEqual([
      'bridge bridge local false ',
      'closed bridge local true k=v',
      'host host local false ',
      'none null local false ',
      'open bridge local false ',
    ]);
  });

  it.each([
    ['name=open', 'open'],
    ['driver=null', 'none'],
    ['type=custom', 'closed open'],
    ['label=k', 'closed'],
    ['label=k=w', ''],
    ['dangling=true', 'closed'],
    ['scope=swarm', ''],
  ])('--filter %s', async (filter, names) => {
    const shown = await docker.ok(`network ls --filter ${filter} --format {{.Name}}`);
    expect(shown.split('\n').sort().join(' ')).toBe(names);
  });

  it.each([
    ['nosuch=x', "invalid filter 'nosuch'"],
    ['dangling=x', "invalid filter 'dangling=[x]'"],
  ])('refuses --filter %s', async (filter, message) => {
    expect(await docker.run(`network ls --filter ${filter}`)).toEqual({
      code: 1,
      stdout: '',
      stderr: refusal(message),
    });
  });
});

describe('a user-defined network', () => {
  it('knows its containers by name, alias, host name and id', async () => {
    const id = await docker.ok(`inspect -f '{{slice .Id 0 12}}' server`);
    const address = await docker.ok('inspect -f {{.NetworkSettings.Networks.open.IPAddress}} server');
    for (const name of ['server', 'web', id, 'server.open']) {
      const answer = await docker.run(`run --rm --network open busybox ping -c 1 -W 10 ${name}`);
      expect(answer.stdout).toContain(`PING ${name} (${address})`);
      expect(answer).toSucceed();
    }
    expect((await docker.run('run --rm --network open busybox ping -c 1 nosuch')).code).toBe(1);
  });

  it('that is internal has no way out', async () => {
    expect(await docker.ok('run --rm --network closed busybox ip route')).not.toContain('default');
  });

  it('is joined and left by a container that runs', async () => {
    await docker.ok('network connect --alias second closed server');
    expect(await docker.ok('run --rm --network closed busybox ping -c 1 -W 10 second')).toContain(
      '1 packets received',
    );
    expect((await docker.run('network connect closed server')).stderr).toContain(
      'already exists in network closed',
    );
    await docker.ok('network disconnect closed server');
    expect(await docker.ok('exec server ip -o -4 addr')).not.toContain('eth1');
    expect((await docker.run('network disconnect closed server')).code).toBe(1);
  });

  it('is not removed while it is used', async () => {
    const result = await docker.run('network rm open');
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('network open has active endpoints (name:"server" id:');
  });

  it('gives the addresses that are asked for', async () => {
    const [subnet] = (await docker.ok(`network inspect -f '{{(index .IPAM.Config 0).Subnet}}' open`)).split(
      '/',
    );
    const address = subnet!.replace(/\d+$/, '77');
    const shown = await docker.ok(`run --rm --network open --ip ${address} busybox ip -o -4 addr show eth0`);
    expect(shown).toContain(` ${address}/`);
    const outside = await docker.run('run --rm --network open --ip 192.0.2.1 busybox true');
    expect(outside.stderr).toContain(
      "invalid address 192.0.2.1: It does not belong to any of this network's subnets",
    );
  });
});

describe('refused is', () => {
  it.each([
    ['network create open', 'network with name open already exists'],
    ['network create --subnet bad n3', 'invalid CIDR address: bad'],
    ['network rm nosuch', undefined],
    ['network rm bridge', undefined],
    ['network connect nosuch server', undefined],
    ['network connect open nosuch', undefined],
  ])('%s', async (line, message) => {
    const result = await docker.run(line);
    expect(result.code).toBe(1);
    if (message) expect(result.stderr).toBe(refusal(message));
  });

  it('a container on a network that is not there, which stays as created', async () => {
    expect(await docker.run('run --name lost --network nosuch busybox true')).toEqual({
      code: 125,
      stdout: '',
      stderr: runRefusal('failed to set up container networking: network nosuch not found'),
    });
    expect(await docker.ok('inspect -f {{.State.Status}} lost')).toBe('created');
    await docker.ok('rm lost');
  });
});

describe('published ports', () => {
  it('lead in, and are shown', async () => {
    const [port] = await freePorts(1);
    await docker.ok(
      `run -d --name published -p 127.0.0.1:${port}:80 --hostname hello busybox httpd -f -p 80 -h /etc`,
    );
    expect(await docker.ok('port published')).toBe(`80/tcp -> 127.0.0.1:${port}`);
    expect(await docker.ok('port published 80')).toBe(`127.0.0.1:${port}`);
    expect(await docker.ok('ps --filter name=published --format {{.Ports}}')).toBe(
      `127.0.0.1:${port}->80/tcp`,
    );
    // The port is open before the server is.
    const page = () =>
      fetch(`http://127.0.0.1:${port}/hostname`).then(
        (response) => response.text(),
        () => '',
      );
    await expect.poll(page, { timeout: 60_000 }).toBe('hello\n');

    const taken = await docker.run(`run --name taken -p 127.0.0.1:${port}:80 busybox true`);
    expect(taken.code).toBe(125);
    expect(taken.stderr).toContain(`Bind for 127.0.0.1:${port} failed: port is already allocated`);
    await docker.ok('rm -f published taken');
  });

  it('are any free ones when none is named, and all that are exposed with -P', async () => {
    await docker.ok('run -d --name any -P --expose 1234 --expose 99/udp -p 127.0.0.1::80 busybox sleep 1000');
    const ports = (await docker.ok('port any')).split('\n');
    expect(ports).toContainEqual(expect.stringMatching(/^80\/tcp -> 127\.0\.0\.1:\d+$/));
    expect(ports).toContainEqual(expect.stringMatching(/^1234\/tcp -> 0\.0\.0\.0:\d+$/));
    expect(ports).toContainEqual(expect.stringMatching(/^99\/udp -> 0\.0\.0\.0:\d+$/));
    await docker.ok('rm -f any');
  });

  it('are none of a container without network', async () => {
    expect(await docker.ok('run --rm --network none busybox ip -o link')).toMatch(/^1: lo: [^\n]*$/);
  });
});

it('prune removes the networks that nobody uses', async () => {
  expect(await docker.ok('network prune --force --filter label!=k')).toBe('');
  expect(await docker.ok('network prune --force')).toBe('Deleted Networks:\nclosed\n');
  expect(await docker.ok('network ls -q --filter name=open')).not.toBe('');
});
