import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conflict } from '#errors/errors.ts';
import { ContainerEngine } from './container-engine.ts';
import { create, createAndStart, logsOf, run, start } from './engine-client.ts';

let engine: ContainerEngine;
beforeAll(async () => {
  engine = await ContainerEngine.start();
});
afterAll(() => engine[Symbol.asyncDispose]());

const inspect = async (id: string) => (await engine.request('GET', `/containers/${id}/json`)).json;
const remove = (id: string) => engine.request('DELETE', `/containers/${id}?force=1&v=1`);

describe('create', () => {
  it('refuses in Docker’s words', async () => {
    const refuse = async (config: object | undefined, status: number, message: string, query = '') => {
      const reply = await engine.request('POST', `/containers/create${query}`, config);
      expect({ status: reply.status, message: reply.json.message }).toEqual({ status, message });
    };
    const busybox = { Image: 'busybox', Cmd: ['true'] };
    await refuse({ Image: 'nosuch', Cmd: ['x'] }, 404, 'No such image: nosuch:latest');
    await refuse(undefined, 400, 'config cannot be empty in order to create a container');
    await refuse(
      busybox,
      400,
      'Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed',
      '?name=a%20b',
    );
    await refuse(
      { ...busybox, WorkingDir: 'rel' },
      400,
      "the working directory 'rel' is invalid, it needs to be an absolute path",
    );
    await refuse(
      { ...busybox, HostConfig: { Mounts: [{ Type: 'bind', Source: '/no/such/dir', Target: '/x' }] } },
      400,
      'invalid mount config for type "bind": bind source path does not exist: /no/such/dir',
    );
    await refuse({ ...busybox, HostConfig: { VolumesFrom: ['ghost'] } }, 400, 'No such container: ghost');
    expect(engine.containers.store.list()).toEqual([]);
  });

  it('tells who has the name', async () => {
    const id = await create(engine, { Cmd: ['true'] }, '?name=taken');
    const reply = await engine.request('POST', '/containers/create?name=taken', {
      Image: 'busybox',
      Cmd: ['true'],
    });
    expect(reply.status).toBe(409);
    expect(reply.json.message).toBe(
      `Conflict. The container name "/taken" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
    await remove(id);
    await remove(await create(engine, { Cmd: ['true'] }, '?name=taken'));
  });

  it('is found by id, name and unique prefix', async () => {
    const id = await create(engine, { Cmd: ['true'] }, '?name=finder');
    for (const reference of [id, 'finder', '/finder', id.slice(0, 12)])
      expect((await inspect(reference)).Id).toBe(id);
    expect((await engine.request('GET', '/containers/nobody/json')).json.message).toBe(
      'No such container: nobody',
    );
    await remove(id);
  });

  it('echoes what inspect shows', async () => {
    const id = await create(engine, {
      Cmd: ['sleep', '1'],
      Env: ['A=1'],
      Labels: { team: 'x' },
      ExposedPorts: { '80/tcp': {} },
      Healthcheck: { Test: ['CMD', 'true'] },
      HostConfig: { Memory: 64 * 1024 * 1024, Binds: ['vol-e:/data'], Dns: ['1.1.1.1'] },
    });
    const shape = await inspect(id);
    expect(shape).toMatchObject({
      Id: id,
      Path: 'sleep',
      Args: ['1'],
      Driver: 'overlay2',
      State: {
        Status: 'created',
        Running: false,
        ExitCode: 0,
        StartedAt: '0001-01-01T00:00:00Z',
        Health: { Status: 'starting' },
      },
      HostConfig: {
        NetworkMode: 'default',
        MemorySwap: 128 * 1024 * 1024,
        ShmSize: 64 * 1024 * 1024,
        IpcMode: 'private',
        RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
        LogConfig: { Type: 'json-file', Config: {} },
        Dns: ['1.1.1.1'],
        CapAdd: null,
      },
      Config: { Image: 'busybox', Hostname: id.slice(0, 12), Labels: { team: 'x' }, Tty: false },
      Mounts: [{ Type: 'volume', Name: 'vol-e', Destination: '/data', Driver: 'local', Mode: 'z', RW: true }],
      NetworkSettings: { Ports: {}, Networks: { bridge: { IPAddress: '' } } },
    });
    expect(shape.Image).toMatch(/^sha256:[0-9a-f]{64}$/);
    await remove(id);
  });
});

describe('a run', () => {
  it('has its command, environment, user, directory and host name', async () => {
    const { code, stdout, stderr, id } = await run(
      engine,
      'id -u; pwd; hostname; echo $A; cat /etc/hostname; echo oops >&2; exit 42',
      { Env: ['A=b'], User: '7:8', WorkingDir: '/made/up', Hostname: 'box' },
    );
    expect({ code, stdout, stderr }).toEqual({
      code: 42,
      stdout: '7\n/made/up\nbox\nb\nbox\n',
      stderr: 'oops\n',
    });
    const { State } = await inspect(id);
    expect(State).toMatchObject({ Status: 'exited', Running: false, ExitCode: 42, Pid: 0, OOMKilled: false });
    expect(Date.parse(State.FinishedAt)).toBeGreaterThanOrEqual(Date.parse(State.StartedAt));
    await remove(id);
  });

  it('may be started again, and appends to its log', async () => {
    const { id } = await run(engine, 'echo once');
    await start(engine, id);
    await engine.request('POST', `/containers/${id}/wait`);
    expect((await logsOf(engine, id)).stdout).toBe('once\nonce\n');
    await remove(id);
  });

  it('that fails to start stays created, with the reason and the code', async () => {
    for (const [command, exitCode, words] of [
      ['nosuch', 127, 'executable file not found in $PATH'],
      ['/nosuch', 127, 'no such file or directory'],
      ['/etc', 126, 'permission denied'],
    ] as const) {
      const id = await create(engine, { Cmd: [command] });
      const reply = await engine.request('POST', `/containers/${id}/start`);
      expect(reply.status).toBe(400);
      expect(reply.json.message).toContain(words);
      const { State, NetworkSettings } = await inspect(id);
      expect(State).toMatchObject({ Status: 'created', ExitCode: exitCode, Error: reply.json.message });
      expect(NetworkSettings.Networks.bridge.IPAddress).toBe('');
      await remove(id);
    }
  });

  it('with AutoRemove that fails to start is removed, and who waits for that learns it', async () => {
    const id = await create(engine, { Cmd: ['nosuch'], HostConfig: { AutoRemove: true } });
    const waited = engine.request('POST', `/containers/${id}/wait?condition=removed`);
    expect((await engine.request('POST', `/containers/${id}/start`)).status).toBe(400);
    expect((await waited).json).toEqual({ StatusCode: 127 });
    expect((await engine.request('GET', `/containers/${id}/json`)).status).toBe(404);
  });

  it('with AutoRemove is gone, with its anonymous volume, when the wait ends', async () => {
    const id = await create(engine, {
      Cmd: ['sh', '-c', 'exit 5'],
      Volumes: { '/v': {} },
      HostConfig: { AutoRemove: true },
    });
    const volume = (await inspect(id)).Mounts[0];
    const waited = engine.request('POST', `/containers/${id}/wait?condition=removed`);
    await start(engine, id);
    expect((await waited).json).toEqual({ StatusCode: 5 });
    expect((await engine.request('GET', `/containers/${id}/json`)).status).toBe(404);
    await expect(readFile(volume.Source)).rejects.toThrow('ENOENT');
  });

  it('goes on beside twenty others', async () => {
    const codes = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => (await run(engine, `exit ${index}`)).code),
    );
    expect(codes).toEqual(Array.from({ length: 20 }, (_, index) => index));
    const { json } = await engine.request('POST', '/containers/prune');
    expect(json.ContainersDeleted).toHaveLength(20);
  });
});

describe('ending', () => {
  it('stop sends the stop signal, and SIGKILL after its patience', async () => {
    const polite = await createAndStart(engine, {
      Cmd: ['sh', '-c', 'trap "exit 3" USR1; sleep 100 & wait'],
      StopSignal: 'SIGUSR1',
    });
    const stubborn = await createAndStart(engine, { Cmd: ['sleep', '100'] });
    await expect
      .poll(async () => (await engine.request('GET', `/containers/${polite}/top`)).json.Processes.length)
      .toBe(2);
    expect((await engine.request('POST', `/containers/${polite}/stop`)).status).toBe(204);
    expect((await engine.request('POST', `/containers/${stubborn}/stop?t=0`)).status).toBe(204);
    expect((await inspect(polite)).State.ExitCode).toBe(3);
    expect((await inspect(stubborn)).State.ExitCode).toBe(137);
    expect((await engine.request('POST', `/containers/${polite}/stop`)).status).toBe(304);
    await Promise.all([remove(polite), remove(stubborn)]);
  });

  it('kill takes names and numbers, and nothing else', async () => {
    const id = await createAndStart(engine, { Cmd: ['sh', '-c', 'trap "exit 4" HUP; sleep 100 & wait'] });
    await expect
      .poll(async () => (await engine.request('GET', `/containers/${id}/top`)).json.Processes.length)
      .toBe(2);
    expect((await engine.request('POST', `/containers/${id}/kill?signal=NOPE`)).status).toBe(400);
    const waited = engine.request('POST', `/containers/${id}/wait`);
    expect((await engine.request('POST', `/containers/${id}/kill?signal=1`)).status).toBe(204);
    expect((await waited).json.StatusCode).toBe(4);
    const reply = await engine.request('POST', `/containers/${id}/kill`);
    expect(reply.status).toBe(409);
    expect(reply.json.message).toContain('is not running');
    await remove(id);
  });

  it('a running one is removed by force only', async () => {
    const id = await createAndStart(engine, { Cmd: ['sleep', '100'] }, '?name=busy');
    const reply = await engine.request('DELETE', '/containers/busy');
    expect(reply.status).toBe(409);
    expect(reply.json.message).toBe(
      'cannot remove container "busy": container is running: stop the container before removing or force remove',
    );
    expect((await engine.request('DELETE', `/containers/${id}?force=1`)).status).toBe(204);
    expect((await engine.request('DELETE', `/containers/${id}`)).status).toBe(404);
  });

  it('one that ends by itself at that moment is removed by force', async () => {
    const id = await createAndStart(engine, { Cmd: ['sleep', '1000'] });
    const { task, state } = engine.containers.store.get(id);
    Object.assign(task!, {
      async kill() {
        // What ended cannot be killed; that it did is not heard of yet.
        setTimeout(() => process.kill(state.pid, 'SIGKILL'), 50);
        throw conflict('process already finished');
      },
    });
    expect(await remove(id)).toMatchObject({ status: 204 });
  });

  it('restart gives a new process', async () => {
    const id = await createAndStart(engine, { Cmd: ['sleep', '100'] });
    const before = (await inspect(id)).State.Pid;
    expect((await engine.request('POST', `/containers/${id}/restart?t=0`)).status).toBe(204);
    const { State, RestartCount } = await inspect(id);
    expect(State.Running).toBe(true);
    expect(State.Pid).not.toBe(before);
    expect(RestartCount).toBe(0);
    expect((await engine.request('POST', `/containers/${id}/start`)).status).toBe(304);
    await remove(id);
  });

  it('pause freezes and unpause goes on', async () => {
    const id = await createAndStart(engine, { Cmd: ['sh', '-c', 'while :; do echo tick; sleep 0.02; done'] });
    expect((await engine.request('POST', `/containers/${id}/pause`)).status).toBe(204);
    expect((await inspect(id)).State).toMatchObject({ Status: 'paused', Running: true, Paused: true });
    expect((await engine.request('POST', `/containers/${id}/pause`)).status).toBe(409);
    expect((await engine.request('POST', `/containers/${id}/exec`, { Cmd: ['true'] })).status).toBe(409);
    const frozen = (await logsOf(engine, id)).stdout;
    expect((await logsOf(engine, id)).stdout).toBe(frozen);
    expect((await engine.request('POST', `/containers/${id}/unpause`)).status).toBe(204);
    await expect.poll(async () => (await logsOf(engine, id)).stdout.length).toBeGreaterThan(frozen.length);
    await remove(id);
  });
});

describe('restart policies', () => {
  it('on-failure tries so often and no more', async () => {
    const id = await createAndStart(engine, {
      Cmd: ['sh', '-c', 'echo run; exit 9'],
      HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 } },
    });
    await expect.poll(async () => (await inspect(id)).State.Status, { timeout: 45_000 }).toBe('exited');
    expect(await inspect(id)).toMatchObject({ RestartCount: 2, State: { ExitCode: 9 } });
    expect((await logsOf(engine, id)).stdout).toBe('run\nrun\nrun\n');
    await remove(id);
  });

  it('always goes on until it is stopped', async () => {
    const id = await createAndStart(engine, {
      Cmd: ['true'],
      HostConfig: { RestartPolicy: { Name: 'always' } },
    });
    await expect.poll(async () => (await inspect(id)).RestartCount, { timeout: 45_000 }).toBeGreaterThan(1);
    expect((await engine.request('POST', `/containers/${id}/stop`)).status).toBe(204);
    const { RestartCount, State } = await inspect(id);
    expect(State.Status).toBe('exited');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect((await inspect(id)).RestartCount).toBe(RestartCount);
    await remove(id);
  });
});

it('rename keeps the id and gives the old name free', async () => {
  const id = await create(engine, { Cmd: ['true'] }, '?name=oldname');
  const other = await create(engine, { Cmd: ['true'] }, '?name=other');
  expect((await engine.request('POST', '/containers/oldname/rename?name=other')).status).toBe(409);
  expect((await engine.request('POST', '/containers/oldname/rename?name=newname')).status).toBe(204);
  expect((await inspect('newname')).Id).toBe(id);
  expect((await engine.request('GET', '/containers/oldname/json')).status).toBe(404);
  await Promise.all([remove(id), remove(other)]);
});

it('update changes limits of a running container', async () => {
  const id = await createAndStart(engine, { Cmd: ['sleep', '100'] });
  const reply = await engine.request('POST', `/containers/${id}/update`, {
    Memory: 32 * 1024 * 1024,
    MemorySwap: 64 * 1024 * 1024,
    RestartPolicy: { Name: 'unless-stopped' },
  });
  expect(reply.status).toBe(200);
  expect((await inspect(id)).HostConfig).toMatchObject({
    Memory: 32 * 1024 * 1024,
    RestartPolicy: { Name: 'unless-stopped' },
  });
  const { json } = await engine.request('GET', `/containers/${id}/stats?stream=0&one-shot=1`);
  expect(json.memory_stats.limit).toBe(32 * 1024 * 1024);
  await remove(id);
});

it('lists with filters, newest first', async () => {
  const old = await create(
    engine,
    { Cmd: ['sh', '-c', 'echo hi'], Labels: { app: 'a', tier: '1' } },
    '?name=list-old',
  );
  const mid = await createAndStart(engine, { Cmd: ['sleep', '100'], Labels: { app: 'b' } }, '?name=list-mid');
  const last = (await run(engine, 'exit 6', { Labels: { app: 'a' } })).id;
  const list = async (filters: object, query = 'all=1') => {
    const reply = await engine.request(
      'GET',
      `/containers/json?${query}&filters=${encodeURIComponent(JSON.stringify(filters))}`,
    );
    return reply.json.map((container: { Id: string }) => container.Id);
  };
  expect(await list({})).toEqual([last, mid, old]);
  expect(await list({}, 'all=0')).toEqual([mid]);
  expect(await list({}, 'limit=2')).toEqual([last, mid]);
  expect(await list({ label: ['app=a'] })).toEqual([last, old]);
  expect(await list({ label: { 'app=a': true, tier: true } })).toEqual([old]);
  expect(await list({ name: ['^/list-'] })).toEqual([mid, old]);
  expect(await list({ status: ['exited'] }, '')).toEqual([last]);
  expect(await list({ exited: ['6'] })).toEqual([last]);
  expect(await list({ before: ['list-mid'] })).toEqual([old]);
  expect(await list({ since: ['list-old'] })).toEqual([last, mid]);
  expect(await list({ ancestor: ['busybox'] })).toHaveLength(3);
  expect(await list({ ancestor: ['nosuch'] })).toEqual([]);
  expect(await list({ id: [mid.slice(0, 10)] })).toEqual([mid]);
  expect((await engine.request('GET', '/containers/json?filters={"x":["y"]}')).status).toBe(400);
  const [shape] = (await engine.request('GET', `/containers/json?all=1&filters={"id":["${old}"]}`)).json;
  expect(shape).toMatchObject({
    Names: ['/list-old'],
    Image: 'busybox',
    Command: "sh -c 'echo hi'",
    State: 'created',
    Status: 'Created',
    Ports: [],
  });
  await Promise.all([old, mid, last].map(remove));
});

it('publishes what happens in Docker’s order', async () => {
  const since = Date.now() / 1000;
  const id = await create(engine, { Cmd: ['true'], HostConfig: { AutoRemove: true } });
  const waited = engine.request('POST', `/containers/${id}/wait?condition=removed`);
  await start(engine, id);
  await waited;
  const query = `since=${since}&until=${Date.now() / 1000 + 0.2}&filters={"container":["${id}"]}`;
  const { text } = await engine.request('GET', `/events?${query}`);
  const events = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(events.map(({ Action }) => Action)).toEqual(['create', 'start', 'die', 'destroy']);
  expect(events[2]).toMatchObject({
    status: 'die',
    id,
    from: 'busybox',
    Type: 'container',
    scope: 'local',
    Actor: { ID: id, Attributes: { exitCode: '0', image: 'busybox' } },
  });
});
