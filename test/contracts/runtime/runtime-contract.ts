import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isKind } from '#errors/errors.ts';
import { LogFile } from '#worker/logs/log-file.ts';
import { rotate } from '#worker/logs/log-rotation.ts';
import type { Runtime, Task } from '#worker/runtime/runtime.ts';
import type { OciSpec } from '#worker/runtime/spec/oci-spec.ts';

/** A machine with a runtime on it. `restart` gives the runtime of the next worker process on the same machine. */
export interface RuntimeUnderTest {
  readonly runtime: Runtime;
  restart(): Runtime;
  spec(id: string, args: string[]): Promise<OciSpec>;
  /** Names what a finished test left on the machine. */
  leftovers(): Promise<string[]>;
  remove(): Promise<void>;
}

/** What every `Runtime` does. Programs used: true, false, echo, cat, sleep. */
export function runtimeContract(name: string, machine: () => Promise<RuntimeUnderTest>): void {
  describe(`${name} is a runtime`, () => {
    let on: RuntimeUnderTest;
    let logs: string;
    let count = 0;

    beforeEach(async () => {
      on = await machine();
      logs = await mkdtemp(join(tmpdir(), 'slipway-logs-'));
    });
    afterEach(async () => {
      for (const id of await on.runtime.list()) await on.runtime.destroy(id);
      const leftovers = await on.leftovers();
      await on.remove();
      await rm(logs, { recursive: true });
      expect(leftovers).toEqual([]);
    });

    const logPath = (id: string) => join(logs, `${id}.log`);
    async function create(
      args: string[],
      options: { openStdin?: boolean; stdinOnce?: boolean } = {},
    ): Promise<Task> {
      const id = `contract-${process.pid}-${++count}`;
      const { openStdin = false, stdinOnce = false } = options;
      const spec = await on.spec(id, args);
      return on.runtime.create({ id, spec, terminal: false, openStdin, stdinOnce, logPath: logPath(id) });
    }
    async function started(
      args: string[],
      options?: { openStdin?: boolean; stdinOnce?: boolean },
    ): Promise<Task> {
      const task = await create(args, options);
      await task.start();
      return task;
    }
    async function output(id: string, ended: Promise<unknown>): Promise<string> {
      let text = '';
      for await (const { stream, data } of new LogFile(logPath(id)).read({
        follow: true,
        raw: true,
        ended,
      })) {
        if (stream === 'stdout') text += Buffer.from(data).toString();
      }
      return text;
    }

    it('runs a process and gives its output and exit code', async () => {
      const task = await started(['echo', 'hello', 'world']);
      expect(await task.wait()).toMatchObject({ code: 0, oomKilled: false });
      expect(await output(task.id, task.wait())).toBe('hello world\n');
      await task.delete();
    });

    it('gives an exit code other than 0, to everyone who waits, also later', async () => {
      const task = await started(['false']);
      const codes = await Promise.all([task.wait(), task.wait()]);
      expect(codes.map(({ code }) => code)).toEqual([1, 1]);
      expect((await task.wait()).code).toBe(1);
    });

    it('runs nothing before start', async () => {
      const task = await create(['echo', 'early']);
      expect((await new LogFile(logPath(task.id)).end()).offset).toBe(0);
      await task.start();
      await task.wait();
      expect((await new LogFile(logPath(task.id)).end()).offset).toBeGreaterThan(0);
    });

    it("refuses a program that does not exist in the runtime's words, and leaves nothing", async () => {
      const error = await create(['no-such-program']).catch((thrown: unknown) => thrown);
      expect(isKind(error, 'invalid')).toBe(true);
      expect(String(error)).toContain('exec: "no-such-program": executable file not found in $PATH');
      expect(await on.runtime.list()).toEqual([]);
    });

    it('refuses a second task of one id', async () => {
      const task = await create(['true']);
      const spec = await on.spec(task.id, ['true']);
      const again = {
        id: task.id,
        spec,
        terminal: false,
        openStdin: false,
        stdinOnce: false,
        logPath: logPath('x'),
      };
      await expect(on.runtime.create(again)).rejects.toMatchObject({ kind: 'conflict' });
      // The first one is not touched by that.
      await task.start();
      expect((await task.wait()).code).toBe(0);
    });

    it('reports a death by signal as 128 + its number', async () => {
      const task = await started(['sleep', '1000']);
      await task.kill(9);
      expect((await task.wait()).code).toBe(137);
    });

    it('says conflict when there is nothing to kill any more', async () => {
      const task = await started(['true']);
      await task.wait();
      await expect(task.kill(9)).rejects.toMatchObject({ kind: 'conflict' });
    });

    it('can be killed before it was started', async () => {
      const task = await create(['sleep', '1000']);
      await task.kill(9);
      expect((await task.wait()).code).toBe(137);
    });

    it('closes stdin with its first writer when asked to', async () => {
      const task = await started(['cat'], { openStdin: true, stdinOnce: true });
      (await task.stdin()).end('through cat');
      expect((await task.wait()).code).toBe(0);
      expect(await output(task.id, task.wait())).toBe('through cat');
    });

    it('keeps stdin open for the next writer otherwise', async () => {
      const task = await started(['cat'], { openStdin: true });
      const followed = new LogFile(logPath(task.id)).read({ follow: true, raw: true, ended: task.wait() });
      for (const text of ['one\n', 'two\n']) {
        (await task.stdin()).end(text);
        const { value } = await followed.next();
        expect(Buffer.from(value!.data).toString()).toBe(text);
      }
      await followed.return();
      await task.kill(9);
      expect((await task.wait()).code).toBe(137);
    });

    it('goes on with its log in a new file', async () => {
      const task = await started(['cat'], { openStdin: true });
      const path = logPath(task.id);
      const log = new LogFile(path);
      const followed = log.read({ follow: true, raw: true, ended: task.wait() });
      for (const text of ['one\n', 'two\n', 'three\n']) {
        (await task.stdin()).end(text);
        const { value } = await followed.next();
        expect(Buffer.from(value!.data).toString()).toBe(text);
        await rotate({ path, maxFiles: 2, reopen: () => task.reopenLog() });
        expect((await log.end()).offset).toBe(0);
      }
      await task.kill(9);
      expect((await followed.next()).done).toBe(true);
      expect(await output(task.id, task.wait())).toBe('three\n');
      // Its monitor is there for a moment longer.
      await expect
        .poll(() => task.reopenLog().catch((error: unknown) => isKind(error, 'conflict')), {
          timeout: 10_000,
        })
        .toBe(true);
    });

    it('has no stdin to write to without openStdin', async () => {
      const task = await started(['cat']);
      await expect(task.stdin()).rejects.toMatchObject({ kind: 'conflict' });
      expect((await task.wait()).code).toBe(0);
    });

    it('runs further processes inside', async () => {
      const task = await started(['sleep', '1000']);
      const { process } = await on.spec('exec', ['echo', 'from exec']);
      const exec = await task.exec({
        id: 'e1',
        process,
        terminal: false,
        openStdin: false,
        logPath: logPath('e1'),
      });
      expect((await exec.wait()).code).toBe(0);
      expect(await output('e1', exec.wait())).toBe('from exec\n');
      await exec.delete();
    });

    it('gives an exec its stdin, and its exit code', async () => {
      const task = await started(['sleep', '1000']);
      const { process } = await on.spec('exec', ['cat']);
      const exec = await task.exec({
        id: 'e1',
        process,
        terminal: false,
        openStdin: true,
        logPath: logPath('e1'),
      });
      (await exec.stdin()).end('piped');
      expect((await exec.wait()).code).toBe(0);
      expect(await output('e1', exec.wait())).toBe('piped');
      const failing = await on.spec('exec', ['false']);
      const second = await task.exec({
        id: 'e2',
        process: failing.process,
        terminal: false,
        openStdin: false,
        logPath: logPath('e2'),
      });
      expect((await second.wait()).code).toBe(1);
    });

    it("refuses an exec that does not exist in the runtime's words, and may try that id again", async () => {
      const task = await started(['sleep', '1000']);
      const wrong = await on.spec('exec', ['no-such-program']);
      const request = { id: 'e1', terminal: false, openStdin: false, logPath: logPath('e1') };
      const error = await task
        .exec({ ...request, process: wrong.process })
        .catch((thrown: unknown) => thrown);
      expect(isKind(error, 'invalid')).toBe(true);
      expect(String(error)).toContain('OCI runtime exec failed: exec failed:');
      expect(String(error)).toContain('exec: "no-such-program": executable file not found in $PATH');
      const right = await on.spec('exec', ['true']);
      const exec = await task.exec({ ...request, process: right.process });
      expect((await exec.wait()).code).toBe(0);
    });

    it('ends its execs with the container', async () => {
      const task = await started(['sleep', '1000']);
      const { process } = await on.spec('exec', ['sleep', '1000']);
      const exec = await task.exec({
        id: 'e1',
        process,
        terminal: false,
        openStdin: false,
        logPath: logPath('e1'),
      });
      await task.kill(9);
      expect((await exec.wait()).code).toBe(137);
    });

    it('names the processes inside', async () => {
      const task = await started(['sleep', '1000']);
      expect(await task.pids()).toEqual([task.pid]);
    });

    it('goes on with a running task after a restart of the worker', async () => {
      const before = await started(['cat'], { openStdin: true, stdinOnce: true });
      const runtime = on.restart();
      expect(await runtime.list()).toEqual([before.id]);
      const task = await runtime.load(before.id);
      expect(task?.pid).toBe(before.pid);
      (await task!.stdin()).end('still here');
      expect((await task!.wait()).code).toBe(0);
      expect(await output(before.id, task!.wait())).toBe('still here');
      await task!.delete();
      expect(await runtime.list()).toEqual([]);
    });

    it('knows after a restart what ended meanwhile', async () => {
      const before = await started(['false']);
      await before.wait();
      const task = await on.restart().load(before.id);
      expect((await task!.wait()).code).toBe(1);
    });

    it('loads nothing for an id it never saw, and destroys it without complaint', async () => {
      expect(await on.runtime.load('never-seen')).toBeUndefined();
      await on.runtime.destroy('never-seen');
    });

    it('destroys what still runs', async () => {
      const task = await started(['sleep', '1000']);
      const exit = task.wait();
      await on.runtime.destroy(task.id);
      expect((await exit).code).toBe(137);
      expect(await on.runtime.list()).toEqual([]);
    });

    it('pauses and resumes', async () => {
      const task = await started(['sleep', '1000']);
      await task.pause();
      await task.resume();
      await task.kill(9);
      expect((await task.wait()).code).toBe(137);
    });

    it('runs many at once', async () => {
      const tasks = await Promise.all(
        Array.from({ length: 8 }, (_, index) => started(['echo', `number ${index}`])),
      );
      await Promise.all(tasks.map((task) => task.wait()));
      const outputs = await Promise.all(tasks.map((task) => output(task.id, task.wait())));
      expect(outputs).toEqual(tasks.map((_, index) => `number ${index}\n`));
      await Promise.all(tasks.map((task) => task.delete()));
      expect(await on.runtime.list()).toEqual([]);
    });
  });
}
