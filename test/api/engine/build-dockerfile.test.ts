import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GitServer } from '#test/contracts/build/git-server.ts';
import { type BuildWorker, contextOf, startBuildWorker } from './build-worker.ts';

let worker: BuildWorker;

beforeAll(async () => {
  worker = await startBuildWorker();
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
});

const lines = (...text: string[]) => `${text.join('\n')}\n`;

async function configOf(dockerfile: string, query: Record<string, string> = {}) {
  const answer = await worker.build({ Dockerfile: dockerfile }, query);
  if (!answer.id) throw new Error(answer.error ?? answer.output);
  return (await worker.images.store.resolve(answer.id)).config;
}

it('puts every configuration instruction into the image', async () => {
  const image = await configOf(
    lines(
      'FROM busybox',
      'MAINTAINER somebody',
      'ENV A=1 B="two words" C=$A',
      'LABEL x="a b" y=$A',
      'EXPOSE 80 53/udp 9000-9001',
      'VOLUME ["/data", "/more"]',
      'WORKDIR /srv',
      'WORKDIR app/$A',
      'USER 1000:1000',
      'STOPSIGNAL SIGQUIT',
      'HEALTHCHECK --interval=5s CMD true',
      'SHELL ["/bin/sh", "-ec"]',
      'CMD echo hi',
      'ONBUILD RUN echo triggered',
    ),
  );
  expect(image.author).toBe('somebody');
  expect(image.config).toMatchObject({
    Env: expect.arrayContaining(['A=1', 'B=two words', 'C=']),
    Labels: { x: 'a b', y: '1' },
    ExposedPorts: { '80/tcp': {}, '53/udp': {}, '9000/tcp': {}, '9001/tcp': {} },
    Volumes: { '/data': {}, '/more': {} },
    WorkingDir: '/srv/app/1',
    User: '1000:1000',
    StopSignal: 'SIGQUIT',
    Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 5e9 },
    Shell: ['/bin/sh', '-ec'],
    Cmd: ['/bin/sh', '-ec', 'echo hi'],
    OnBuild: ['RUN echo triggered'],
  });
  expect(image.history?.at(-2)).toMatchObject({
    created_by: '/bin/sh -c #(nop)  CMD ["/bin/sh" "-ec" "echo hi"]',
    empty_layer: true,
  });
  expect(image.history?.filter((entry) => !entry.empty_layer)).toHaveLength(image.rootfs.diff_ids.length);
});

it('lets ENTRYPOINT clear a command that the base image set, not one of its own stage', async () => {
  const inherited = await configOf('FROM busybox\nENTRYPOINT ["/bin/echo"]\n');
  expect(inherited.config).toMatchObject({ Entrypoint: ['/bin/echo'] });
  expect(inherited.config?.Cmd ?? null).toBeNull();
  const own = await configOf('FROM busybox\nCMD ["x"]\nENTRYPOINT ["/bin/echo"]\n');
  expect(own.config).toMatchObject({ Entrypoint: ['/bin/echo'], Cmd: ['x'] });
});

it('runs only the stages that the target needs, and numbers only those', async () => {
  const dockerfile = lines(
    'ARG BASE=busybox',
    'FROM $BASE AS tools',
    'RUN echo made > /made',
    'FROM busybox AS unused',
    'RUN exit 1',
    'FROM scratch AS result',
    'COPY --from=tools /made /copied',
    'COPY --from=0 /bin/busybox /bin/sh',
    'FROM result AS last',
    'RUN ["/bin/sh", "-c", "read line < /copied; echo it is $line"]',
  );
  const whole = await worker.build({ Dockerfile: dockerfile });
  expect(whole.error).toBeUndefined();
  expect(whole.output).toContain('Step 1/8 : ARG BASE=busybox');
  expect(whole.output).toContain('it is made');
  expect(whole.output).not.toContain('unused');
  const result = await worker.build({ Dockerfile: dockerfile }, { target: 'result' });
  expect(result.output).toContain('Step 6/6 : COPY --from=0');
  const missing = await worker.build({ Dockerfile: dockerfile }, { target: 'nope' });
  expect(missing).toMatchObject({ status: 400, error: 'target stage "nope" could not be found' });
});

it('leaves nothing of its mounts in layers, on scratch what the kernel’s are mounted on', async () => {
  const answer = await worker.build(
    {
      Dockerfile: lines(
        'FROM busybox AS tools',
        'FROM scratch',
        'COPY --from=tools /bin/busybox /sh',
        'RUN ["/sh", "-c", "exit 0"]',
        'RUN ["/sh", "-c", "echo x > /etc-x"]',
      ),
    },
    { t: 'bare' },
  );
  expect(answer.error).toBeUndefined();
  const { config } = await worker.images.store.resolve('bare');
  expect(config.rootfs.diff_ids).toHaveLength(3);
  const listing = await worker.build(
    {
      Dockerfile:
        'FROM busybox\nCOPY --from=bare / /x/\nRUN find /x | sort; cat /etc/resolv.conf /etc/hosts\n',
    },
    { nocache: '1' },
  );
  // As with BuildKit: the directories for /dev, /proc and /sys stay, /etc with its files does not.
  const left = ['/x', '/x/dev', '/x/etc-x', '/x/proc', '/x/sh', '/x/sys'];
  expect(listing.output).toContain(`\n${left.join('\n')}\nnameserver 127.0.0.53\n127.0.0.1\tlocalhost`);
});

it('gives ARGs to RUN, and to nothing after', async () => {
  const dockerfile = lines(
    'ARG GLOBAL=outer',
    'FROM busybox',
    'ARG GLOBAL',
    'ARG WITH=default NONE',
    'ARG LOSES=arg',
    'ENV LOSES=env',
    'RUN echo "$GLOBAL $WITH [$NONE] $LOSES $HTTP_PROXY"',
  );
  const query = {
    buildargs: JSON.stringify({ WITH: 'given', HTTP_PROXY: 'http://p', STRAY: '1', NULLED: null }),
  };
  const answer = await worker.build({ Dockerfile: dockerfile }, query);
  expect(answer.output).toContain('\nouter given [] env http://p\n');
  expect(answer.output).toContain('[Warning] One or more build-args [STRAY] were not consumed');
  const { config, history } = (await worker.images.store.resolve(answer.id!)).config;
  expect(config?.Env?.some((entry) => /WITH|GLOBAL|PROXY/.test(entry))).toBe(false);
  expect(history?.at(-1)?.created_by).toBe(
    '|2 GLOBAL=outer WITH=given /bin/sh -c echo "$GLOBAL $WITH [$NONE] $LOSES $HTTP_PROXY"',
  );
});

it('executes the triggers of its base image', async () => {
  await worker.build(
    { Dockerfile: 'FROM busybox\nONBUILD COPY x /x\nONBUILD RUN cat /x\n' },
    { t: 'trigger' },
  );
  const answer = await worker.build({ Dockerfile: 'FROM trigger\nRUN true\n', x: 'pulled in' });
  expect(answer.output).toContain('Step 1/2 : FROM trigger\n# Executing 2 build triggers\n');
  expect(answer.output).toContain('pulled in');
  expect((await worker.images.store.resolve(answer.id!)).config.config?.OnBuild ?? null).toBeNull();
});

it('runs heredocs: for the shell, as a script, and as files', async () => {
  const answer = await worker.build({
    Dockerfile: lines(
      'FROM busybox',
      'ARG WHO=you',
      'RUN <<EOF',
      'echo one',
      'echo two $WHO',
      'EOF',
      'RUN <<SCRIPT',
      '#!/bin/cat',
      'as a script',
      'SCRIPT',
      'RUN cat <<A - <<B',
      'first',
      'A',
      'second',
      'B',
      'COPY <<one.txt <<"two.txt" /files/',
      'hello $WHO',
      'one.txt',
      'hello $WHO',
      'two.txt',
      'RUN cat /files/one.txt /files/two.txt',
    ),
  });
  expect(answer.error).toBeUndefined();
  expect(answer.output).toContain('one\ntwo you\n');
  expect(answer.output).toContain('#!/bin/cat\nas a script\n');
  expect(answer.output).toContain('second\n');
  expect(answer.output).toContain('hello you\nhello $WHO\n');
});

it('runs commands with their environment, user and directory', async () => {
  const answer = await worker.build(
    {
      Dockerfile: lines(
        'FROM busybox',
        'RUN echo me:x:1234:1234::/home/me:/bin/sh >> /etc/passwd',
        'USER me',
        'WORKDIR /home/me/work',
        'RUN id -un; pwd; echo "HOME=$HOME"; stat -c %U .; ulimit -n; grep -c . /proc/self/status >/dev/null && echo proc',
        'RUN ["echo", "$HOME", "exec  form"]',
      ),
    },
    { ulimits: JSON.stringify([{ Name: 'nofile', Soft: 64, Hard: 64 }]), memory: String(64 * 1024 * 1024) },
  );
  expect(answer.error).toBeUndefined();
  expect(answer.output).toContain('\nme\n/home/me/work\nHOME=/home/me\nme\n64\nproc\n');
  expect(answer.output).toContain('\n$HOME exec  form\n');
});

it('takes labels from the query, quotes in them and all', async () => {
  const labels = { b: 'two "$A"', a: '1' };
  const answer = await worker.build({ Dockerfile: 'FROM busybox\n' }, { labels: JSON.stringify(labels) });
  expect(answer.output).toContain('Step 2/3 : LABEL a=1');
  expect((await worker.images.store.resolve(answer.id!)).config.config?.Labels).toMatchObject(labels);
});

it('reads the Dockerfile that it is told, from compressed contexts too', async () => {
  const files = { 'sub/Other.dockerfile': 'FROM busybox\nRUN echo other\n' };
  const tar = await buffer(contextOf(files));
  for (const body of [tar, gzipSync(tar), zstdCompressSync(tar)]) {
    const answer = await worker.build(
      {},
      { dockerfile: 'sub/Other.dockerfile', nocache: '1' },
      { body: chunks(body) },
    );
    expect(answer.output).toContain('\nother\n');
  }
});

it('builds from a URL: of a Dockerfile, or of a context', async () => {
  const tar = await buffer(contextOf({ Dockerfile: 'FROM busybox\nCOPY f /f\n', f: 'x' }));
  const server = createServer((req, res) => {
    res.statusCode = req.url === '/gone' ? 404 : 200;
    res.end(req.url === '/tar' ? tar : 'FROM busybox\nRUN echo remote\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect((await worker.build({}, { remote: `${url}/Dockerfile` })).output).toContain('\nremote\n');
    expect((await worker.build({}, { remote: `${url}/tar` })).output).toContain('COPY f /f');
    expect(await worker.build({}, { remote: `${url}/gone` })).toMatchObject({
      status: 400,
      error: /status 404/,
    });
  } finally {
    server.close();
  }
});

it('builds from a repository: its main branch, or what is asked for of it', async () => {
  const root = await mkdtemp(join(tmpdir(), 'slipway-git-'));
  const git = await GitServer.open(root);
  try {
    await git.create('project.git');
    await git.commit('project.git', {
      Dockerfile: 'FROM busybox\nCOPY . /all\nRUN ls -A /all\n',
      'sub/Other': 'FROM busybox\nADD f /f\nRUN cat /f\n',
      'sub/f': 'below',
    });
    const whole = await worker.build({}, { remote: `${git.url('project.git')}` });
    expect(whole.error).toBeUndefined();
    expect(whole.output).toContain('\nDockerfile\nsub\n');
    const part = await worker.build(
      {},
      { remote: `${git.url('project.git')}#main:sub`, dockerfile: 'Other' },
    );
    expect(part.output).toContain('\nbelow');
    const added = await worker.build({
      Dockerfile: `FROM busybox\nADD ${git.url('project.git')}#main:sub /g\nRUN cat /g/f\n`,
    });
    expect(added.output).toContain('\nbelow');
  } finally {
    await git[Symbol.asyncDispose]();
    await rm(root, { recursive: true, force: true });
  }
});

it('is quiet when asked', async () => {
  const quiet = await worker.build({ Dockerfile: 'FROM busybox\nRUN echo loud\n' }, { q: '1' });
  expect(quiet.output).toBe(`${quiet.id}\n`);
  const failed = await worker.build({ Dockerfile: 'FROM busybox\nRUN echo why; exit 3\n' }, { q: '1' });
  expect(failed.output).toContain('why');
  expect(failed.error).toContain('non-zero code: 3');
});

async function* chunks(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}

it('is the base image when nothing is done to it, and nothing without one', async () => {
  const base = await worker.images.store.resolve('busybox');
  const same = await worker.build({ Dockerfile: 'FROM busybox\n' }, { t: 'same' });
  expect(same.id).toBe(base.id);
  expect(same.output).toContain(`Step 1/1 : FROM busybox\n ---> ${base.id.slice(7, 19)}\n`);
  for (const id of [base.id, base.id.slice(7), base.id.slice(7, 19)]) {
    expect((await worker.build({ Dockerfile: `FROM ${id}\n` })).id).toBe(base.id);
  }
  const empty = await worker.build({ Dockerfile: 'FROM scratch\n' });
  expect(empty.error).toBe('No image was generated. Is your Dockerfile empty?');
});

it('reads a context that ends as the CLI ends it when the Dockerfile is from outside', async () => {
  const files = {
    a: 'A',
    '.dockerfile.04bd': 'FROM busybox\nCOPY . /all\nRUN ls -A /all\n',
    '.dockerignore': '.dockerignore\n.dockerfile.04bd',
  };
  const whole = await buffer(contextOf(files));
  // Neither padding nor end mark.
  const body = whole.subarray(0, whole.length - 1024 - (512 - files['.dockerignore'].length));
  const answer = await worker.build({}, { dockerfile: '.dockerfile.04bd' }, { body: chunks(body) });
  expect(answer.error).toBeUndefined();
  expect(answer.output).toMatch(/Running in [0-9a-f]{12}\na\n ---> Removed/);
});

it('lets commands open their streams by name, and does not wait for what they leave in the background', async () => {
  const answer = await worker.build({
    Dockerfile:
      'FROM busybox\nRUN echo named > /dev/stderr; echo out > /dev/stdout; (sleep 0.2; echo never) &\n',
  });
  expect(answer.error).toBeUndefined();
  expect(answer.output).toContain('named');
  expect(answer.output).toMatch(/(?:^|\u001b\[0m)out$/m);
  expect(answer.output).not.toMatch(/(?:^|0m)never$/m);
});

it('passes much output on in order, and whole characters only', async () => {
  const answer = await worker.build({
    Dockerfile:
      'FROM busybox\nRUN i=0; while [ $i -lt 20000 ]; do echo "$i \u00fc\u{1F40B}"; i=$((i+1)); done\n',
  });
  const numbers = answer.output.match(/^\d+ \u00fc\u{1F40B}$/gmu)!;
  expect(numbers).toHaveLength(20_000);
  expect(numbers.at(-1)).toBe('19999 \u00fc\u{1F40B}');
});
