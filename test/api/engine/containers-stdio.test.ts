import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ContainerEngine } from './container-engine.ts';
import { converse, create, createAndStart, logsOf, run, start } from './engine-client.ts';

let engine: ContainerEngine;
beforeAll(async () => {
  engine = await ContainerEngine.start();
});
afterAll(() => engine[Symbol.asyncDispose]());

const ATTACH = 'attach?stream=1&stdout=1&stderr=1';

describe('attach', () => {
  it('before the start gives all output, on its streams', async () => {
    const id = await create(engine, { Cmd: ['sh', '-c', 'echo out; echo err >&2; printf end'] });
    const { read, contentType } = await converse(engine, `/containers/${id}/${ATTACH}`);
    expect(contentType).toBe('application/vnd.docker.multiplexed-stream');
    const output = read();
    await start(engine, id);
    expect(await output).toEqual({ stdout: 'out\nend', stderr: 'err\n' });
  });

  it('serves several at once, and later ones only what comes later', async () => {
    const id = await create(engine, {
      Cmd: ['sh', '-c', 'echo first; read x; echo "got $x"'],
      OpenStdin: true,
      AttachStdin: true,
    });
    const early = await converse(engine, `/containers/${id}/${ATTACH}`);
    const output = early.read();
    await start(engine, id);
    await expect.poll(async () => (await logsOf(engine, id)).stdout).toBe('first\n');
    const late = await converse(engine, `/containers/${id}/${ATTACH}&stdin=1`);
    const all = await converse(engine, `/containers/${id}/${ATTACH}&logs=1`);
    const outputs = [output, late.read(), all.read()];
    late.connection.write('hello\n');
    expect((await Promise.all(outputs)).map(({ stdout }) => stdout)).toEqual([
      'first\ngot hello\n',
      'got hello\n',
      'first\ngot hello\n',
    ]);
  });

  it('passes input on until its end, and output goes on after that', async () => {
    const id = await create(engine, {
      Cmd: ['sh', '-c', 'cat; echo done'],
      OpenStdin: true,
      StdinOnce: true,
    });
    const { connection, read } = await converse(engine, `/containers/${id}/${ATTACH}&stdin=1`);
    const output = read();
    await start(engine, id);
    connection.end('some input\n');
    expect(await output).toEqual({ stdout: 'some input\ndone\n', stderr: '' });
  });

  it('carries many megabytes both ways exactly', async () => {
    const id = await create(engine, { Cmd: ['cat'], OpenStdin: true, StdinOnce: true });
    const { connection, read } = await converse(engine, `/containers/${id}/${ATTACH}&stdin=1`);
    const output = read();
    await start(engine, id);
    const block = `${'x'.repeat(1022)}\n`.repeat(1024);
    for (let sent = 0; sent < 16; sent++)
      if (!connection.write(`${sent}${block}`)) await once(connection, 'drain');
    connection.end();
    const { stdout } = await output;
    expect(stdout === Array.from({ length: 16 }, (_, index) => `${index}${block}`).join('')).toBe(true);
  });

  it('of a terminal is raw, and its keys detach', async () => {
    const id = await create(engine, { Cmd: ['sh', '-c', 'tty; cat'], Tty: true, OpenStdin: true });
    const { connection, read, contentType } = await converse(engine, `/containers/${id}/${ATTACH}&stdin=1`);
    expect(contentType).toBe('application/vnd.docker.raw-stream');
    const output = read();
    await start(engine, id);
    expect((await engine.request('POST', `/containers/${id}/resize?h=30&w=90`)).status).toBe(200);
    await expect
      .poll(() => engine.request('GET', `/containers/${id}/logs?stdout=1`).then(({ text }) => text))
      .toContain('/dev/pts/0');
    connection.write(Buffer.from([16, 17]));
    expect((await output).stdout).toBe('/dev/pts/0\r\n');
    expect((await engine.request('GET', `/containers/${id}/json`)).json.State.Running).toBe(true);
  });

  it('ends when the container never starts', async () => {
    const id = await create(engine, { Cmd: ['nosuch'] });
    const { read } = await converse(engine, `/containers/${id}/${ATTACH}`);
    const output = read();
    expect((await engine.request('POST', `/containers/${id}/start`)).status).toBe(400);
    expect(await output).toEqual({ stdout: '', stderr: '' });
  });
});

describe('logs', () => {
  it('takes tail, timestamps and single streams', async () => {
    const { id } = await run(engine, 'for i in 1 2 3 4 5; do echo $i; done; echo e >&2');
    expect(await logsOf(engine, id)).toEqual({ stdout: '1\n2\n3\n4\n5\n', stderr: 'e\n' });
    expect((await logsOf(engine, id, '&stderr=0&tail=2')).stdout).toBe('4\n5\n');
    const stamped = (await logsOf(engine, id, '&tail=1&stderr=0&timestamps=1')).stdout;
    expect(stamped).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z 5\n$/);
    expect((await engine.request('GET', `/containers/${id}/logs`)).status).toBe(400);
    const future = Math.floor(Date.now() / 1000) + 100;
    expect((await logsOf(engine, id, `&since=${future}`)).stdout).toBe('');
  });

  it('follows to the end', async () => {
    const id = await createAndStart(engine, { Cmd: ['sh', '-c', 'echo a; sleep 0.3; echo b'] });
    expect((await logsOf(engine, id, '&follow=1')).stdout).toBe('a\nb\n');
    expect((await logsOf(engine, id, '&follow=1')).stdout).toBe('a\nb\n');
  });
});

describe('exec', () => {
  let id: string;
  beforeAll(async () => {
    id = await createAndStart(engine, { Cmd: ['sleep', '1000'], Env: ['A=container'], WorkingDir: '/tmp' });
  });
  const exec = async (config: object) => {
    const reply = await engine.request('POST', `/containers/${id}/exec`, {
      AttachStdout: true,
      AttachStderr: true,
      ...config,
    });
    expect(reply.status).toBe(201);
    return reply.json.Id as string;
  };
  const inspect = async (execId: string) => (await engine.request('GET', `/exec/${execId}/json`)).json;

  it('runs beside the container’s process and gives its output and code', async () => {
    const execId = await exec({
      Cmd: ['sh', '-c', 'echo $A $B; pwd; id -u; echo e >&2; exit 3'],
      Env: ['B=exec'],
      User: '5',
    });
    const { read } = await converse(engine, `/exec/${execId}/start`, { Detach: false });
    expect(await read()).toEqual({ stdout: 'container exec\n/tmp\n5\n', stderr: 'e\n' });
    expect(await inspect(execId)).toMatchObject({ Running: false, ExitCode: 3, ContainerID: id });
    expect((await engine.request('POST', `/exec/${execId}/start`, {})).status).toBe(409);
  });

  it('takes input', async () => {
    const execId = await exec({ Cmd: ['wc', '-c'], AttachStdin: true });
    const { connection, read } = await converse(engine, `/exec/${execId}/start`, {});
    const output = read();
    connection.end('12345');
    expect((await output).stdout.trim()).toBe('5');
  });

  it('has a terminal when asked', async () => {
    const execId = await exec({ Cmd: ['sh', '-c', 'tty; stty size'], Tty: true, ConsoleSize: [20, 70] });
    const { read, contentType } = await converse(engine, `/exec/${execId}/start`, { Tty: true });
    expect(contentType).toBe('application/vnd.docker.raw-stream');
    expect((await read()).stdout).toMatch(/^\/dev\/pts\/\d+\r\n20 70\r\n$/);
  });

  it('has frames unless whoever starts it says that it has a terminal', async () => {
    const execId = await exec({ Cmd: ['echo', 'x'], Tty: true });
    const { read, contentType } = await converse(engine, `/exec/${execId}/start`, {});
    expect(contentType).toBe('application/vnd.docker.multiplexed-stream');
    expect(await read()).toEqual({ stdout: 'x\r\n', stderr: '' });
  });

  it('says in its stream why it could not start', async () => {
    const execId = await exec({ Cmd: ['nosuch'] });
    const { read } = await converse(engine, `/exec/${execId}/start`, {});
    expect((await read()).stdout).toContain('"nosuch": executable file not found in $PATH');
    expect((await inspect(execId)).ExitCode).toBe(127);
  });

  it('detached goes on alone', async () => {
    const execId = await exec({ Cmd: ['sh', '-c', 'echo x > /tmp/detached; exit 2'] });
    expect((await engine.request('POST', `/exec/${execId}/start`, { Detach: true })).status).toBe(200);
    await expect.poll(async () => (await inspect(execId)).ExitCode).toBe(2);
  });

  it('needs a container that runs', async () => {
    const stopped = await create(engine, { Cmd: ['true'] });
    const reply = await engine.request('POST', `/containers/${stopped}/exec`, { Cmd: ['true'] });
    expect(reply.status).toBe(409);
    expect(reply.json.message).toBe(`container ${stopped} is not running`);
    expect((await engine.request('GET', '/exec/nosuch/json')).json.message).toBe(
      'No such exec instance: nosuch',
    );
  });

  it('its processes are in top', async () => {
    const execId = await exec({ Cmd: ['sleep', '77'] });
    await engine.request('POST', `/exec/${execId}/start`, { Detach: true });
    const { json } = await engine.request('GET', `/containers/${id}/top?ps_args=-o%20pid,args`);
    expect(json.Titles).toEqual(['PID', 'COMMAND']);
    expect(json.Processes.map((row: string[]) => row[1]).sort()).toEqual(['sleep 1000', 'sleep 77']);
  });
});
