import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openWorkerDatabase } from '#database/worker/open.ts';
import { invalid } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import type { DocumentsWriter } from '#worker/build/history/build-documents.ts';
import { BuildHistory } from '#worker/build/history/build-history.ts';
import type { BuildRecord, HistoryEvent } from '#worker/build/history/build-record.ts';
import type { Edge } from '#worker/build/llb/vertex.ts';
import { base, gate, source, step } from '../solver/fake-drivers.ts';
import { Recorder, session } from '../solver/solver-world.ts';
import { BuildWorld, resultOf } from './build-world.ts';

let world: BuildWorld;
beforeEach(async () => {
  world = await BuildWorld.open();
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

async function ended(ref: string): Promise<BuildRecord> {
  await world.begin({ ref }).done;
  return (await world.history.find(ref))!;
}

describe('the history of builds', () => {
  it('says what each was, how long its steps took and what was cached, and nothing secret', async () => {
    world.frontend = async () => resultOf(step('two', [step('one')]));
    await world.begin({ ref: 'first' }).done;
    const frontendOptions = {
      target: 'x',
      context: 'https://user:word@example.com/x.git',
      'build-arg:API_TOKEN': 'abc',
      'build-arg:createdAt': 'text',
    };
    await world.begin({ ref: 'second', frontendOptions }).done;
    const [second, first] = await world.history.list();
    expect(first).toMatchObject({ ref: 'first', frontend: 'dockerfile.v0', response: { 'image.name': 'x' } });
    expect(first!.completedAt!.getTime()).toBeGreaterThanOrEqual(first!.createdAt.getTime());
    const cached = (record: typeof first) => record!.steps.map(({ name, cached }) => [name, cached]);
    expect(cached(first)).toEqual([
      ['docker-image://base', true],
      ['one', false],
      ['two', false],
    ]);
    expect(cached(second)).toEqual([
      ['docker-image://base', false],
      ['one', true],
      ['two', true],
    ]);
    expect(second!.frontendOptions).toEqual({
      target: 'x',
      context: 'https://xxxxx@example.com/x.git',
      'build-arg:API_TOKEN': '(hidden)',
      'build-arg:createdAt': 'text',
    });
  });

  it('says why a step had to be done', async () => {
    const copy = () => step('copy', [base, source('local://context')], { content: true });
    const reasons = async (edge: Edge, files: string) => {
      world.sessions.set('client', session('client', files));
      world.frontend = async () => resultOf(edge);
      const build = world.begin();
      await build.done;
      const { steps } = (await world.history.find(build.ref))!;
      return Object.fromEntries(
        steps.flatMap(({ name, missed }) => (missed === undefined ? [] : [[name, missed]])),
      );
    };
    expect(await reasons(step('make', [copy()]), 'v1')).toEqual({
      copy: 'never built before',
      make: 'never built before',
    });
    expect(await reasons(step('make', [copy()]), 'v1')).toEqual({});
    expect(await reasons(step('make', [copy()]), 'v2')).toEqual({
      copy: 'content of local://context changed',
      make: 'an input was rebuilt: copy',
    });
    expect(await reasons(step('make', [source('docker-image://other')]), 'v2')).toEqual({
      make: 'base image other changed',
    });
    expect(await reasons(step('make', [copy()], { ignoreCache: true }), 'v2')).toEqual({
      make: 'no cache: --no-cache',
    });
  });

  it('leaves out what clients only ask to know', async () => {
    const build = world.begin({ frontend: undefined, internal: true, exporters: [] });
    build.finish(resultOf(undefined));
    await build.done;
    expect(await world.history.list()).toEqual([]);
    expect(await world.logs()).toEqual([]);
  });

  it('tells who listens', async () => {
    const heard: HistoryEvent[] = [];
    using listening = world.history.listen((event) => heard.push(event));
    await world.begin({ ref: 'one' }).done;
    await world.history.delete('one');
    listening[Symbol.dispose]();
    world.frontend = async () => resultOf(step('one'));
    await world.begin({ ref: 'two' }).done;
    expect(heard.map(({ type, record }) => [type, record.ref])).toEqual([
      ['started', 'one'],
      ['complete', 'one'],
      ['deleted', 'one'],
    ]);
    expect(await world.logs()).toHaveLength(1);
  });

  it('forgets the oldest when they are too many, but none that is pinned', async () => {
    await using small = await BuildWorld.open({ history: { maxBuilds: 2 } });
    small.frontend = async () => resultOf(step('one'));
    for (const ref of ['a', 'b', 'c', 'd']) {
      await small.begin({ ref }).done;
      if (ref === 'a') await small.history.pin('a', true);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect((await small.history.list()).map(({ ref }) => ref)).toEqual(['d', 'c', 'a']);
    expect(await small.logs()).toHaveLength(3);
  });

  it('bounds what logs take', async () => {
    await using small = await BuildWorld.open({ history: { maxLogBytes: 1 } });
    for (const ref of ['a', 'b']) {
      small.frontend = async () => resultOf(step(ref));
      await small.begin({ ref }).done;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect((await small.history.list()).map(({ ref }) => ref)).toEqual(['b']);
  });

  it('keeps how each was made, its log and why it failed as documents, and lets go of them with it', async () => {
    world.frontend = async () => resultOf(step('make', [base]));
    const frontendOptions = { 'build-arg:API_TOKEN': 'abc' };
    await world.begin({ ref: 'made', frontendOptions }).done;
    world.frontend = async () => {
      throw invalid('https://user:word@example.com is no good');
    };
    await world.begin({ ref: 'failed' }).done.catch(() => undefined);
    const textOf = async ({ digest }: { digest: string }) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of (await world.history.documents.open(digest))!) chunks.push(chunk);
      expect(digestOf(Buffer.concat(chunks))).toBe(digest);
      return Buffer.concat(chunks).toString();
    };
    const made = (await world.history.find('made'))!.attachments!;
    const provenance = await textOf(made.attestations['']![0]!);
    expect(JSON.parse(provenance).buildDefinition.externalParameters.request).toMatchObject({
      frontend: 'dockerfile.v0',
      args: { 'build-arg:API_TOKEN': '(hidden)' },
    });
    expect(await textOf(made.log!)).toContain('make');
    const failed = (await world.history.find('failed'))!.attachments!;
    expect(await textOf(failed.error!)).toContain('https://xxxxx@example.com is no good');
    // Each has a trace, too, in which nothing is that may not be remembered.
    expect(await textOf(failed.trace!)).toContain('https://xxxxx@example.com is no good');
    expect(await world.history.documents.list()).toHaveLength(6);
    await world.history.delete('made');
    expect(await world.history.documents.open(made.log!.digest)).toBeUndefined();
    // Of the same name again: nothing of the first remains.
    await world.begin({ ref: 'failed' }).done.catch(() => undefined);
    expect(await world.history.documents.list()).toHaveLength(3);
    expect((await world.files()).map((name) => name.split('.')[1])).toEqual(['documents']);
  });

  it('reads parts of documents, and has none of a build that was not written to its end', async () => {
    const record = { ...(await ended('one')), ref: 'one' };
    const attach = async (writer: DocumentsWriter) => {
      await writer.add({ mediaType: 'text/plain' }, [Buffer.from('before')]);
      const log = await writer.add({ mediaType: 'text/plain' }, [Buffer.from('one '), Buffer.from('two')]);
      return { log, attestations: {}, results: {} };
    };
    await world.history.ended(record, { logBytes: 0, attach });
    const { log } = (await world.history.find('one'))!.attachments!;
    const part = (await world.history.documents.open(log!.digest, { start: 2, end: 6 }))!;
    expect(part.size).toBe(7);
    expect(Buffer.concat(await Array.fromAsync(part)).toString()).toBe('e tw');
    const broken = async (writer: DocumentsWriter) => {
      await writer.add({ mediaType: 'text/plain' }, [Buffer.from('half')]);
      throw new Error('the disk is full');
    };
    await expect(world.history.ended(record, { logBytes: 0, attach: broken })).rejects.toThrow('full');
    expect(await world.history.find('one')).toMatchObject({ completedAt: record.completedAt });
    // What a killed worker has left behind goes at the next start.
    writeFileSync(join(world.folder, 'logs', 'left.documents'), 'half');
    await world.history.reconcile();
    expect(await world.files()).toHaveLength(1);
  });

  it('outlives the worker, and says of what was under way that it was stopped', async () => {
    world.frontend = async () => resultOf(step('one'));
    await world.begin({ ref: 'done' }).done;
    const running = gate();
    world.solving.fake.behaviours.set('slow', running.behaviour);
    world.frontend = async () => resultOf(step('slow'));
    const lost = world.begin({ ref: 'lost' });
    await running.began;
    await expect.poll(() => world.history.find('lost')).toBeDefined();
    // As another process finds it that begins after this one was killed.
    const database = await openWorkerDatabase(`${world.folder}/worker.db`);
    const history = new BuildHistory({ database }, { directory: `${world.folder}/logs` });
    await history.reconcile();
    expect((await history.find('lost'))!.error!.message).toBe('the worker was stopped');
    const replayed = new Recorder();
    await history.replay('done', replayed, { signal: new AbortController().signal });
    expect(replayed.shown.one).toBe('done');
    await database.destroy();
    lost.cancel();
    await expect(lost.done).rejects.toThrow();
  });
});
