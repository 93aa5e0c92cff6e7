import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogFile } from '#worker/logs/log-file.ts';
import type { ExitStatus, Task } from '#worker/runtime/runtime.ts';
import type { SpecRequest } from '#worker/runtime/spec/spec-request.ts';
import { ConmonMachine } from './conmon-machine.ts';

interface Options extends Partial<SpecRequest> {
  openStdin?: boolean;
}

interface Result {
  exit: ExitStatus;
  stdout: Buffer;
  stderr: Buffer;
}

async function firstOf<T>(source: AsyncIterable<T>): Promise<T | undefined> {
  for await (const item of source) return item;
  return undefined;
}

describe('containers of runc under conmon', () => {
  let on: ConmonMachine;
  let logs: string;
  let count = 0;

  beforeEach(async () => {
    on = await ConmonMachine.make();
    logs = await mkdtemp(join(tmpdir(), 'slipway-logs-'));
  });
  afterEach(async () => {
    for (const id of await on.runtime.list()) await on.runtime.destroy(id);
    const leftovers = await on.leftovers();
    await on.remove();
    await rm(logs, { recursive: true });
    expect(leftovers).toEqual([]);
  });

  async function create(args: string[], { openStdin = false, ...more }: Options = {}): Promise<Task> {
    const id = `behaviour-${process.pid}-${++count}`;
    const spec = await on.spec(id, args, more);
    const terminal = more.terminal ?? false;
    return on.runtime.create({
      id,
      spec,
      terminal,
      openStdin,
      stdinOnce: openStdin,
      logPath: join(logs, id),
    });
  }
  async function started(args: string[], options?: Options): Promise<Task> {
    const task = await create(args, options);
    await task.start();
    return task;
  }
  async function collect(id: string, waiting: Promise<ExitStatus>): Promise<Result> {
    const parts = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
    const log = new LogFile(join(logs, id));
    for await (const { stream, data } of log.read({ follow: true, raw: true, ended: waiting }))
      parts[stream].push(data);
    return { exit: await waiting, stdout: Buffer.concat(parts.stdout), stderr: Buffer.concat(parts.stderr) };
  }
  async function run(args: string[], options?: Options): Promise<Result> {
    const task = await started(args, options);
    return collect(task.id, task.wait());
  }
  const shell = async (script: string, options?: Options) => {
    const { stdout, stderr } = await run(['sh', '-c', script], options);
    return `${stdout}${stderr}`.trim();
  };
  async function exec(
    task: Task,
    args: string[],
    options: { terminal?: boolean; size?: [number, number] } = {},
  ) {
    const { terminal = false, size } = options;
    const { process } = await on.spec('exec', args);
    const id = `exec-${++count}`;
    const consoleSize = size && { width: size[0], height: size[1] };
    const running = await task.exec({
      id,
      process: { ...process, ...(consoleSize && { consoleSize }) },
      terminal,
      openStdin: false,
      logPath: join(logs, id),
    });
    const result = await collect(id, running.wait());
    await running.delete();
    return result;
  }

  describe('output', () => {
    it('is exact: both streams, any bytes, lines longer than any buffer, no final newline', async () => {
      const content = Buffer.concat([
        randomBytes(100_000),
        Buffer.from(`\r\n\n\n${'x'.repeat(8192)}\n${'y'.repeat(8193)}\n${'z'.repeat(50_000)}`),
      ]);
      await writeFile(join(on.directory, 'rootfs/content'), content);
      const { stdout, stderr } = await run(['sh', '-c', 'cat /content; cat /content >&2']);
      expect(stdout.equals(content)).toBe(true);
      expect(stderr.equals(content)).toBe(true);
    });

    it('is complete when the exit is known, however much there is', async () => {
      const task = await started(['sh', '-c', 'yes 0123456789 | head -c 20000000']);
      await task.wait();
      let size = 0;
      for await (const { data } of new LogFile(join(logs, task.id)).read({ raw: true })) size += data.length;
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
        new LogFile(join(logs, task.id)).read({ follow: true, ended: task.wait() }),
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
      const monitor = Number(await readFile(join(on.stateDir, 'bundles', task.id, 'conmon.pid'), 'utf8'));
      process.kill(monitor, 'SIGKILL');
      expect((await waiting).code).toBe(137);
      expect(await task.pids()).toEqual([]);
    });

    it('notices so too for a container that an earlier worker started', async () => {
      const before = await started(['sleep', '1000']);
      const monitor = Number(await readFile(join(on.stateDir, 'bundles', before.id, 'conmon.pid'), 'utf8'));
      const task = await on.restart().load(before.id);
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
    const log = new LogFile(join(logs, task.id));
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
    const { cgroup } = on.host;
    const base = cgroup.version === 'v2' ? '/sys/fs/cgroup' : '/sys/fs/cgroup/pids';
    expect((await readFile(`${base}${on.cgroupParent}/${task.id}/pids.max`, 'utf8')).trim()).toBe('17');
  });

  it('keeps neither descriptors nor the terminal of the worker: its output ends with it', async () => {
    const script = join(on.directory, 'worker.ts');
    const spec = await on.spec('outlives', ['sleep', '1000']);
    const request = {
      id: 'outlives',
      spec,
      terminal: false,
      openStdin: false,
      stdinOnce: false,
      logPath: join(logs, 'outlives'),
    };
    const { runc, conmon, socat } = on.host.tools;
    const options = { stateDir: on.stateDir, runc: runc.path, conmon: conmon.path, socat: socat.path };
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
    const task = await on.runtime.load('outlives');
    expect(await task!.pids()).toEqual([task!.pid]);
  });

  it('clears away what a worker left that was killed in the middle of a creation', async () => {
    const task = await create(['sleep', '1000']);
    // As if the monitor had not yet been started.
    await rm(join(on.stateDir, 'bundles', task.id, 'pid'));
    const runtime = on.restart();
    expect(await runtime.load(task.id)).toBeUndefined();
    expect(await runtime.list()).toEqual([task.id]);
    await runtime.destroy(task.id);
    expect(await runtime.list()).toEqual([]);
  });

  describe('what a specification asks for', () => {
    it('is what the container gets by default', async () => {
      expect(await shell('hostname')).toBe('testhost');
      expect(await shell('id')).toMatch(/^uid=0\(root\) gid=0\(root\)/);
      expect(await shell('grep CapEff /proc/self/status')).toBe('CapEff:\t00000000a80425fb');
      expect(await shell('grep Seccomp: /proc/self/status')).toBe('Seccomp:\t2');
      expect(await shell('cat /proc/kcore | head -c 1 | wc -c; touch /proc/sys/x; touch /sys/x')).toMatch(
        /^0\n.*(nonexistent|No such|Read-only).*\n.*Read-only/s,
      );
      expect(await shell('mount -t tmpfs x /tmp; echo $?')).toMatch(/(denied|not permitted|Operation)/);
    });

    it('runs as the user it names, with that one in the image', async () => {
      expect(await shell('id', { user: 'developer' })).toMatch(
        /^uid=1000\(developer\) gid=1000\(developer\) groups=(1000\(developer\),)?44\(video\)/,
      );
      expect(await shell('id -u; id -g', { user: '12:34' })).toBe('12\n34');
      await expect(create(['true'], { user: 'nobody-here' })).rejects.toMatchObject({
        kind: 'invalid',
        message: 'unable to find user nobody-here: no matching entries in passwd file',
      });
    });

    it('adds and drops capabilities', async () => {
      expect(await shell('grep CapEff /proc/self/status', { capDrop: ['ALL'], capAdd: ['CHOWN'] })).toBe(
        'CapEff:\t0000000000000001',
      );
    });

    it('is nearly everything when privileged', async () => {
      const output = await shell(
        'mount -t tmpfs x /tmp && echo mounted; ls /dev/kmsg; grep Seccomp: /proc/self/status',
        {
          privileged: true,
        },
      );
      expect(output).toBe('mounted\n/dev/kmsg\nSeccomp:\t0');
    });

    it('mounts', async () => {
      await writeFile(join(on.directory, 'file'), 'from the host');
      const mounts: SpecRequest['mounts'] = [
        { type: 'bind', source: join(on.directory, 'file'), destination: '/in/file', readonly: true },
        { type: 'tmpfs', destination: '/scratch', options: ['size=1m', 'mode=1777'] },
      ];
      const script =
        'cat /in/file; echo; echo x > /in/file; dd if=/dev/zero of=/scratch/f bs=64k 2>&1 | grep -c space; touch /x && echo no';
      expect(await shell(script, { mounts, readonlyRootfs: true })).toMatch(
        /^from the host\n1\n.*Read-only file system/s,
      );
    });

    it('limits', async () => {
      const limits = { memory: 64 * 1024 * 1024, nanoCpus: 500_000_000, pidsLimit: 33 };
      const task = await started(['sleep', '1000'], { resources: limits });
      const read = (controller: string, v1: string, v2: string) => {
        const unified = on.host.cgroup.version === 'v2';
        const base = unified ? '/sys/fs/cgroup' : `/sys/fs/cgroup/${controller}`;
        return readFile(`${base}${on.cgroupParent}/${task.id}/${unified ? v2 : v1}`, 'utf8');
      };
      expect((await read('memory', 'memory.limit_in_bytes', 'memory.max')).trim()).toBe(
        String(limits.memory),
      );
      expect(await read('cpu', 'cpu.cfs_quota_us', 'cpu.max')).toMatch(/^50000\b/);
      expect((await read('pids', 'pids.max', 'pids.max')).trim()).toBe('33');
    });

    it('gives the resource limits it can', async () => {
      const ulimits = [
        { name: 'nofile', soft: 100, hard: 10_000_000 },
        { name: 'core', soft: -1, hard: -1 },
      ];
      expect(await shell('ulimit -n; ulimit -c', { ulimits })).toBe('100\nunlimited');
    });

    it('shares namespaces', async () => {
      const host = await shell('ls -l /proc/self/ns/', {
        namespaces: { network: 'host', pid: 'host', ipc: 'host', uts: 'host' },
      });
      for (const name of ['net', 'pid', 'ipc', 'uts']) {
        expect(host).toContain(await readlink(`/proc/self/ns/${name}`));
      }
      const first = await started(['sleep', '1000']);
      const script = 'ls -l /proc/self/ns/';
      const sharing = { network: `/proc/${first.pid}/ns/net`, pid: { path: `/proc/${first.pid}/ns/pid` } };
      const output = await shell(script, {
        namespaces: { ...sharing, ipc: { path: `/proc/${first.pid}/ns/ipc` } },
      });
      const own = await exec(first, ['sh', '-c', script]);
      const line = (text: string, name: string) => new RegExp(`${name} -> (\\S+)`).exec(text)?.[1];
      for (const name of ['net', 'pid', 'ipc'])
        expect(line(output, name)).toBe(line(own.stdout.toString(), name));
      expect(line(output, 'uts')).not.toBe(line(own.stdout.toString(), 'uts'));
    });

    it('brings an init that reaps', async () => {
      if (!on.host.tools.init.path) throw new Error('this test needs catatonit or tini-static');
      expect(await shell('cat /proc/1/comm', { init: true })).toMatch(/init|catatonit|tini/);
    });
  });
});
