import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
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

/** Containers of runc under conmon, on a machine that each test has anew; nothing of them may be left at its end. */
export function conmonContainers() {
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

  return {
    get on() {
      return on;
    },
    get logs() {
      return logs;
    },
    create,
    started,
    collect,
    run,
    shell,
    exec,
  };
}
