import { afterEach, beforeEach, expect, it } from 'vitest';
import { ContainerEngine } from './container-engine.ts';
import { converse, create, createAndStart, logsOf, run } from './engine-client.ts';

let engine: ContainerEngine;
beforeEach(async () => {
  engine = await ContainerEngine.start();
});
afterEach(() => engine[Symbol.asyncDispose]());

const inspect = async (id: string) => (await engine.request('GET', `/containers/${id}/json`)).json;

it('containers live on while the worker does not', async () => {
  const running = await createAndStart(
    engine,
    { Cmd: ['sh', '-c', 'echo before; sleep 3; echo after; exit 8'] },
    '?name=lives',
  );
  const paused = await createAndStart(engine, { Cmd: ['sleep', '100'] });
  await engine.request('POST', `/containers/${paused}/pause`);
  const done = await run(engine, 'exit 2');
  const before = await inspect(running);
  await engine.restart();
  const after = await inspect('lives');
  expect(after.State).toMatchObject({
    Status: 'running',
    Pid: before.State.Pid,
    StartedAt: before.State.StartedAt,
  });
  expect(after.NetworkSettings).toEqual(before.NetworkSettings);
  expect((await inspect(paused)).State.Status).toBe('paused');
  expect((await inspect(done.id)).State).toMatchObject({ Status: 'exited', ExitCode: 2 });
  const { read } = await converse(engine, `/containers/${running}/attach?stream=1&stdout=1&logs=1`);
  const output = read();
  const exec = await engine.request('POST', `/containers/${running}/exec`, {
    Cmd: ['true'],
    AttachStdout: true,
  });
  await (await converse(engine, `/exec/${exec.json.Id}/start`, {})).read();
  expect((await engine.request('POST', `/containers/${running}/wait`)).json.StatusCode).toBe(8);
  expect((await output).stdout).toBe('before\nafter\n');
});

it('ends that nobody saw are recorded, with their codes, and followed', async () => {
  const script = ['sh', '-c', 'sleep 0.5; exit 6'];
  const plain = await createAndStart(engine, { Cmd: script });
  const removed = await createAndStart(engine, { Cmd: script, HostConfig: { AutoRemove: true } });
  const restarted = await createAndStart(engine, {
    Cmd: script,
    HostConfig: { RestartPolicy: { Name: 'always' } },
  });
  await engine.restart(() => new Promise((resolve) => setTimeout(resolve, 1500)));
  await expect
    .poll(async () => (await inspect(plain)).State)
    .toMatchObject({ Status: 'exited', ExitCode: 6 });
  await expect
    .poll(async () => (await engine.request('GET', `/containers/${removed}/json`)).status)
    .toBe(404);
  await expect.poll(async () => (await inspect(restarted)).RestartCount).toBeGreaterThan(0);
});

it('what was always to run is started with the worker, what its user stopped is not', async () => {
  const policy = (Name: string) => ({ Cmd: ['sleep', '100'], HostConfig: { RestartPolicy: { Name } } });
  const always = await createAndStart(engine, policy('always'));
  const stopped = await createAndStart(engine, policy('unless-stopped'));
  const never = await create(engine, policy('always'));
  await engine.request('POST', `/containers/${always}/stop?t=0`);
  await engine.request('POST', `/containers/${stopped}/stop?t=0`);
  await engine.restart();
  await expect.poll(async () => (await inspect(always)).State.Status).toBe('running');
  expect((await inspect(stopped)).State.Status).toBe('exited');
  expect((await inspect(never)).State.Status).toBe('created');
});

it('names stay taken and free as they were', async () => {
  await create(engine, { Cmd: ['true'] }, '?name=kept');
  const gone = await create(engine, { Cmd: ['true'] }, '?name=gone');
  await engine.request('DELETE', `/containers/${gone}`);
  await engine.restart();
  expect(
    (await engine.request('POST', '/containers/create?name=kept', { Image: 'busybox', Cmd: ['x'] })).status,
  ).toBe(409);
  await create(engine, { Cmd: ['true'] }, '?name=gone');
  expect((await logsOf(engine, 'gone')).stdout).toBe('');
});
