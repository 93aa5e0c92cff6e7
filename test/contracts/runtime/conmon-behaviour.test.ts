import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { LogFile } from '#worker/logs/log-file.ts';
import { conmonContainers } from './conmon-containers.ts';

const world = conmonContainers();
const { create, started, collect, run, exec } = world;

async function firstOf<T>(source: AsyncIterable<T>): Promise<T | undefined> {
  for await (const item of source) return item;
  return undefined;
}

describe('output', () => {
  it('is exact: both streams, any bytes, lines longer than any buffer, no final newline', async () => {
    const content = Buffer.concat([
      randomBytes(100_000),
      Buffer.from(`\r\n\n\n${'x'.repeat(8192)}\n${'y'.repeat(8193)}\n${'z'.repeat(50_000)}`),
    ]);
    await writeFile(join(world.on.directory, 'rootfs/content'), content);
    const { stdout, stderr } = await run(['sh', '-c', 'cat /content; cat /content >&2']);
    expect(stdout.equals(content)).toBe(true);
    expect(stderr.equals(content)).toBe(true);
  });

  it('is complete when the exit is known, however much there is', async () => {
    const task = await started(['sh', '-c', 'yes 0123456789 | head -c 20000000']);
    await task.wait();
    let size = 0;
    for await (const { data } of new LogFile(join(world.logs, task.id)).read({ raw: true }))
      size += data.length;
    expect(size).toBe(20_000_000);
  });

  it('is one stream on a terminal', async () => {
    expect(
      (await run(['sh', '-c', 'echo out; echo err >&2; tty'], { terminal: true })).stdout.toString(),
    ).toBe('out\r\nerr\r\n/dev/pts/0\r\n');
  });
});

describe('stdin', () => {
  it('carries much more than any buffer, and its end', async () => {
    const input = randomBytes(3_000_000);
    const task = await started(['cat'], { openStdin: true });
    const stdin = await task.stdin();
    stdin.end(input);
    const { stdout, exit } = await collect(task.id, task.wait());
    expect(exit.code).toBe(0);
    expect(createHash('sha256').update(stdout).digest('hex')).toBe(
      createHash('sha256').update(input).digest('hex'),
    );
  });

  it('can end while the output goes on', async () => {
    const task = await started(['sh', '-c', 'cat; echo after'], { openStdin: true });
    (await task.stdin()).end('before ');
    expect((await collect(task.id, task.wait())).stdout.toString()).toBe('before after\n');
  });

  it('is closed for its writer when the process ends', async () => {
    const task = await started(['head', '-c', '1'], { openStdin: true });
    const stdin = await task.stdin();
    const closed = once(stdin, 'close');
    stdin.write('x');
    await task.wait();
    await closed;
  });
});

describe('terminals', () => {
  it('have the size they were created with, and the one they are given', async () => {
    const script = 'stty size; read line; stty size';
    const task = await started(['sh', '-c', script], {
      terminal: true,
      openStdin: true,
      consoleSize: { width: 101, height: 31 },
    });
    const first = await firstOf(
      new LogFile(join(world.logs, task.id)).read({ follow: true, ended: task.wait() }),
    );
    expect(Buffer.from(first!.data).toString()).toBe('31 101\r\n');
    await task.resize({ width: 120, height: 40 });
    (await task.stdin()).write('\n');
    const { stdout } = await collect(task.id, task.wait());
    expect(stdout.toString()).toMatch(/40 120\r\n$/);
  });

  it('are there for an exec too', async () => {
    const task = await started(['sleep', '1000']);
    const { stdout, exit } = await exec(task, ['sh', '-c', 'tty; stty size; exit 7'], {
      terminal: true,
      size: [99, 22],
    });
    expect(stdout.toString()).toBe('/dev/pts/0\r\n22 99\r\n');
    expect(exit.code).toBe(7);
  });

  it('cannot be resized when there is nobody any more', async () => {
    const task = await started(['true'], { terminal: true });
    await task.wait();
    await task.delete();
    await expect(task.resize({ width: 1, height: 1 })).rejects.toMatchObject({ kind: 'conflict' });
  });
});

describe('endings', () => {
  it('reports the signal that a program died of', async () => {
    const task = await started(['sh', '-c', 'trap "exit 9" TERM; while true; do sleep 0.01; done']);
    await delay(100);
    await task.kill(15);
    expect((await task.wait()).code).toBe(9);
    const segv = await started(['sh', '-c', 'sh -c "kill -SEGV \\$\\$"; exit $?']);
    expect((await segv.wait()).code).toBe(139);
  });

  it('knows that the kernel killed for memory', async () => {
    const { exit } = await run(['sh', '-c', 'tail /dev/zero'], { resources: { memory: 16 * 1024 * 1024 } });
    expect(exit).toMatchObject({ oomKilled: true });
    expect(exit.code).not.toBe(0);
  });

  it('ends a container whose monitor was killed, instead of waiting for ever', async () => {
    const task = await started(['sleep', '1000']);
    const waiting = task.wait();
    const monitor = Number(await readFile(join(world.on.stateDir, 'bundles', task.id, 'conmon.pid'), 'utf8'));
    process.kill(monitor, 'SIGKILL');
    expect((await waiting).code).toBe(137);
    expect(await task.pids()).toEqual([]);
  });

  it('notices so too for a container that an earlier worker started', async () => {
    const before = await started(['sleep', '1000']);
    const monitor = Number(
      await readFile(join(world.on.stateDir, 'bundles', before.id, 'conmon.pid'), 'utf8'),
    );
    const task = await world.on.restart().load(before.id);
    process.kill(monitor, 'SIGKILL');
    expect((await task!.wait()).code).toBe(137);
  });

  it('kills what is paused', async () => {
    const task = await started(['sleep', '1000']);
    await task.pause();
    await task.kill(9);
    expect((await task.wait()).code).toBe(137);
  });
});

it('pauses for real', async () => {
  const task = await started(['sh', '-c', 'while true; do echo tick; sleep 0.01; done']);
  const log = new LogFile(join(world.logs, task.id));
  await firstOf(log.read({ follow: true }));
  await task.pause();
  await delay(50);
  const frozen = await log.end();
  await delay(100);
  expect(await log.end()).toEqual(frozen);
  await task.resume();
  const next = await firstOf(log.read({ follow: true, from: frozen, ended: task.wait() }));
  expect(Buffer.from(next!.data).toString()).toBe('tick\n');
});

it('changes limits while it runs', async () => {
  const task = await started(['sleep', '1000'], { resources: { pidsLimit: 50 } });
  await task.update({ pids: { limit: 17 } });
  const { cgroup } = world.on.host;
  const base = cgroup.version === 'v2' ? '/sys/fs/cgroup' : '/sys/fs/cgroup/pids';
  expect((await readFile(`${base}${world.on.cgroupParent}/${task.id}/pids.max`, 'utf8')).trim()).toBe('17');
});

it('keeps neither descriptors nor the terminal of the worker: its output ends with it', async () => {
  const script = join(world.on.directory, 'worker.ts');
  const spec = await world.on.spec('outlives', ['sleep', '1000']);
  const request = {
    id: 'outlives',
    spec,
    terminal: false,
    openStdin: false,
    stdinOnce: false,
    logPath: join(world.logs, 'outlives'),
  };
  const { runc, conmon, socat } = world.on.host.tools;
  const options = { stateDir: world.on.stateDir, runc: runc.path, conmon: conmon.path, socat: socat.path };
  const module = new URL('../../../src/worker/runtime/conmon/conmon-runtime.ts', import.meta.url).pathname;
  await writeFile(
    script,
    `import { createServer } from 'node:net';
     import { ConmonRuntime } from ${JSON.stringify(module)};
     const server = createServer().listen(0, '127.0.0.1', async () => {
       const task = await new ConmonRuntime(${JSON.stringify(options)}).create(${JSON.stringify(request)});
       await task.start();
       console.log(server.address().port);
       process.kill(process.pid, 'SIGKILL');
     });`,
  );
  const worker = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  // Resolves at the end of the pipe, which a monitor that had inherited it would hold open.
  const port = Number(await buffer(worker.stdout));
  expect(port).toBeGreaterThan(0);
  const listeners = await readFile('/proc/net/tcp', 'utf8');
  expect(listeners).not.toContain(
    `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`,
  );
  const task = await world.on.runtime.load('outlives');
  expect(await task!.pids()).toEqual([task!.pid]);
});

it('clears away what a worker left that was killed in the middle of a creation', async () => {
  const task = await create(['sleep', '1000']);
  // As if the monitor had not yet been started.
  await rm(join(world.on.stateDir, 'bundles', task.id, 'pid'));
  const runtime = world.on.restart();
  expect(await runtime.load(task.id)).toBeUndefined();
  expect(await runtime.list()).toEqual([task.id]);
  await runtime.destroy(task.id);
  expect(await runtime.list()).toEqual([]);
});
