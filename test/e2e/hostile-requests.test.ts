import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { json, text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busyboxArchive } from '../images/busybox-image.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

/** Requests that no client means well with: each gets a 4xx with a message, and the worker goes on as if nothing was. */

let slipway: Slipway;

beforeAll(async () => {
  slipway = await startSlipway({ command: 'worker' });
  await slipway.dockerOk('load', '--input', await busyboxArchive());
  await slipway.dockerOk('run', '-d', '--name', 'box', '-v', 'data:/data', 'busybox', 'sleep', '1000');
});

afterAll(async () => {
  const { output } = slipway;
  await slipway[Symbol.asyncDispose]();
  expect(output).not.toContain('request failed unexpectedly');
});

async function send(method: string, path: string, body: string | Uint8Array = '', type = 'application/json') {
  const sent = request({
    socketPath: slipway.socket,
    method,
    path: `/v1.51${path}`,
    agent: false,
    headers: { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) },
  });
  sent.end(body);
  const [response] = await once(sent, 'response');
  return response;
}

/** Everything that comes back on a connection until it is closed, however it is. */
async function answerTo(...parts: (string | Uint8Array)[]): Promise<string> {
  const socket = connect(slipway.socket).setEncoding('latin1');
  const closed = new Promise((resolve) => socket.once('close', resolve));
  let answer = '';
  socket.on('error', () => {});
  socket.on('data', (data: string) => {
    answer += data;
  });
  for (const part of parts) socket.write(part);
  await closed;
  return answer;
}

async function expectRefusal(response: Awaited<ReturnType<typeof send>>) {
  const body = await json(response);
  expect(response.statusCode, JSON.stringify(body)).toBeGreaterThanOrEqual(400);
  expect(response.statusCode, JSON.stringify(body)).toBeLessThan(500);
  expect(body).toEqual({ message: expect.stringMatching(/./) });
}

describe('a container is not made from', () => {
  it.each([
    '',
    '{',
    'null',
    '[]',
    '1',
    '['.repeat(100_000),
    '{"Image":5}',
    '{"Image":"../../etc"}',
    '{"Image":"busybox","Cmd":[1]}',
    '{"Image":"busybox","Env":"A=b"}',
    '{"Image":"busybox","Labels":[]}',
    `{"Image":"busybox","Hostname":"${'x'.repeat(300)}"}`,
    '{"Image":"busybox","StopSignal":"FOO"}',
    '{"Image":"busybox","ExposedPorts":{"x":{}}}',
    '{"Image":"busybox","HostConfig":[]}',
    '{"Image":"busybox","HostConfig":{"Memory":-5}}',
    '{"Image":"busybox","HostConfig":{"Memory":1e300}}',
    '{"Image":"busybox","HostConfig":{"ShmSize":-1}}',
    '{"Image":"busybox","HostConfig":{"NanoCpus":-1}}',
    '{"Image":"busybox","HostConfig":{"Binds":["/:/"]}}',
    '{"Image":"busybox","HostConfig":{"Binds":["../../etc:/x"]}}',
    '{"Image":"busybox","HostConfig":{"Mounts":[{}]}}',
    '{"Image":"busybox","HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"x"}]}}}',
    '{"Image":"busybox","HostConfig":{"PortBindings":{"80/foo":[{"HostPort":"1"}]}}}',
    '{"Image":"busybox","NetworkingConfig":{"EndpointsConfig":{"bridge":5}}}',
  ])('%.70s', async (body) => {
    await expectRefusal(await send('POST', '/containers/create', body));
  });

  it('a name that is none', async () => {
    for (const name of ['..', '%00', 'a/b', '%zz', '-x']) {
      await expectRefusal(await send('POST', `/containers/create?name=${name}`, '{"Image":"busybox"}'));
    }
  });
});

describe('refused is', () => {
  it.each([
    ['GET', '/containers/json?filters=%7B'],
    ['GET', '/containers/json?filters=%7B%22status%22:5%7D'],
    ['GET', '/containers/json?filters=%7B%22__proto__%22:[%22a%22]%7D'],
    ['GET', '/containers/json?limit=x'],
    ['GET', '/containers/..%2f..%2fetc/json'],
    ['GET', '/containers/%00/json'],
    ['GET', `/containers/${'x'.repeat(5000)}/json`],
    ['GET', '/containers/box/logs?stdout=1&since=x'],
    ['GET', '/containers/box/top?ps_args=%00'],
    ['GET', '/containers/box/archive'],
    ['GET', '/containers/box/archive?path=%00'],
    ['GET', `/containers/box/archive?path=${'a/'.repeat(3000)}`],
    ['GET', '/containers/box/archive?path=/proc/1/root/etc/passwd'],
    ['GET', '/containers/box/archive?path=/proc/self/environ'],
    ['POST', '/containers/box/kill?signal=x'],
    ['POST', '/containers/box/stop?t=x'],
    ['POST', '/containers/box/resize?h=-1&w=99999999'],
    ['POST', '/containers/box/rename?name=../x'],
    ['POST', '/containers/box/wait?condition=foo'],
    ['POST', '/exec/nosuch/start'],
    ['GET', '/networks/%2e%2e'],
    ['GET', '/networks?filters=x'],
    ['GET', '/volumes/..%2f..%2fx'],
    ['DELETE', '/volumes/..%2f..%2fx'],
    ['GET', '/events?since=x'],
    ['GET', '/events?since=2&until=1'],
    ['POST', '/images/create'],
    ['POST', '/images/create?fromImage=../x'],
    ['GET', '/images/get?names=..%2f..%2fx'],
    ['GET', '/images/%00/json'],
    ['DELETE', '/images/..%2f..'],
    ['POST', '/images/busybox/tag?repo=..%2fx&tag=y'],
    ['GET', '/images/json?filters=%7B%22dangling%22:[%22x%22]%7D'],
    ['POST', '/build?dockerfile=../../etc/passwd'],
    ['POST', '/build?buildargs=%7B'],
    ['POST', '/build?t=Bad'],
    ['POST', '/commit?container=box&changes=FOO'],
    ['GET', '/nosuch'],
  ])('%s %.80s', async (method, path) => {
    await expectRefusal(await send(method, path));
  });

  it.each([
    ['/containers/box/exec', '{'],
    ['/containers/box/exec', '{"Cmd":[]}'],
    ['/containers/box/update', '{"CpuShares":"x"}'],
    ['/containers/box/update', '[]'],
    ['/networks/create', '{'],
    ['/networks/create', '{"Name":"../x"}'],
    ['/networks/create', '{"Name":"n1","IPAM":{"Config":[{"Subnet":"x"}]}}'],
    ['/networks/create', '{"Name":"n1","Options":{"com.docker.network.bridge.name":"a/b;c"}}'],
    ['/networks/bridge/connect', '{"Container":5}'],
    ['/volumes/create', '{"Name":"../../x"}'],
    ['/volumes/create', `{"Name":"${'v'.repeat(1000)}"}`],
    ['/auth', '{"serveraddress":5}'],
  ])('POST %s with %.60s', async (path, body) => {
    await expectRefusal(await send('POST', path, body));
  });
});

describe('archives', () => {
  const garbage = [Buffer.from('garbage'), randomBytes(5000), Buffer.from('\x1f\x8b\x08\0garbage', 'latin1')];

  it.each(['/images/load', '/build', '/images/create?fromSrc=-'])('of no kind: POST %s', async (path) => {
    for (const bytes of garbage) await expectRefusal(await send('POST', path, bytes, 'application/x-tar'));
  });

  it('of no kind: PUT archive', async () => {
    for (const bytes of garbage) {
      await expectRefusal(
        await send('PUT', '/containers/box/archive?path=/data', bytes, 'application/x-tar'),
      );
    }
  });

  it('that lead out of their root', async () => {
    const way = Buffer.from(archive('--transform=s|^x|../../../../../../tmp/out|', '-P', 'x'));
    for (const [method, path] of [
      ['PUT', '/containers/box/archive?path=/data'],
      ['POST', '/images/load'],
      ['POST', '/build'],
    ] as const) {
      await expectRefusal(await send(method, path, way, 'application/x-tar'));
    }
  });

  it('that go through a link stay in the container', async () => {
    const folder = join(slipway.folder, 'hostile');
    mkdirSync(join(folder, 'one'), { recursive: true });
    mkdirSync(join(folder, 'two/link'), { recursive: true });
    const outside = join(slipway.folder, 'outside');
    mkdirSync(outside);
    symlinkSync(outside, join(folder, 'one/link'));
    writeFileSync(join(folder, 'two/link/file'), 'x');
    for (const [part, name] of [
      ['one', 'link'],
      ['two', 'link/file'],
    ] as const) {
      const bytes = execFileSync('tar', ['-C', join(folder, part), '-cf', '-', name]);
      const reply = await send('PUT', '/containers/box/archive?path=/data', bytes, 'application/x-tar');
      await text(reply);
    }
    expect(existsSync(join(outside, 'file'))).toBe(false);
  });

  it('that end in the middle', async () => {
    const bytes = archive('x').subarray(0, 700);
    await expectRefusal(await send('PUT', '/containers/box/archive?path=/data', bytes, 'application/x-tar'));
  });

  /** An archive of one file of 5,000 bytes that is called `x`. */
  function archive(...args: string[]): Buffer {
    writeFileSync(join(slipway.folder, 'x'), 'x'.repeat(5000));
    return execFileSync('tar', ['-C', slipway.folder, '-cf', '-', ...args]);
  }
});

it('a body that is too large is refused while it is sent, and not waited for', async () => {
  const reply = await answerTo(
    'POST /v1.51/containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n',
    Buffer.alloc(9 << 20, '['),
  );
  expect(reply).toMatch(/^HTTP\/1\.1 413 /);
});

it('what is no HTTP is refused', async () => {
  for (const start of [
    'GARBAGE\r\n\r\n',
    `GET / HTTP/1.1\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`,
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n',
    'POST /v1.51/auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n',
  ]) {
    expect(await answerTo(start)).toMatch(/^HTTP\/1\.1 4\d\d /);
  }
});

it('a client that goes away in mid-request leaves nothing open', async () => {
  const open = () => readFileSync(`/proc/${slipway.pid}/net/unix`, 'utf8').split(slipway.socket).length;
  await expect.poll(open).toBe(2);
  for (let count = 0; count < 20; count++) {
    const socket = connect(slipway.socket);
    socket.on('error', () => {});
    socket.write(
      'PUT /v1.51/containers/box/archive?path=/data HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nhalf',
    );
    await once(socket, 'ready');
    socket.destroy();
  }
  await expect.poll(open).toBe(2);
  expect((await send('GET', '/_ping')).statusCode).toBe(200);
});
