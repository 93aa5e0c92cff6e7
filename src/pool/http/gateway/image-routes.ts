import { listQuery, stringQuery } from '#worker/http/query.ts';
import { type EngineContext, type EngineRouter, imageName, imagePath } from '#worker/http/router.ts';
import type { LivingWorker } from '../../gateway/workers.ts';
import { askAll } from './ask-all.ts';
import type { GatewayParts } from './gateway-parts.ts';
import { pass, reply } from './pass.ts';

interface ImageSummary {
  readonly Id: string;
  readonly Created: number;
  readonly Containers: number;
  readonly RepoTags: string[] | null;
  readonly RepoDigests: string[] | null;
}

/** Images: a worker may have any, and gets one that it needs from another. A name means what it was given to last. */
export function imageRoutes(router: EngineRouter, parts: GatewayParts): void {
  const { images, contents, placer, client } = parts;

  router.get('/images/json', async (ctx) => {
    const answers = await askAll(ctx, parts);
    if (answers) ctx.body = mergeImages(answers.flatMap(({ body }) => body as ImageSummary[]));
  });

  router.post('/images/create', async (ctx) => {
    const reference = withTag(stringQuery(ctx, 'fromImage') ?? '', stringQuery(ctx, 'tag'));
    await change(ctx, parts, await placer.forImage(reference, stringQuery(ctx, 'platform') || undefined));
  });

  router.post('/images/load', async (ctx) => change(ctx, parts, await placer.forImage('', undefined)));

  router.get('/images/search', async (ctx) => pass(ctx, parts, (await parts.workers.some())[0]!));

  router.get('/images/get', async (ctx) => {
    await pass(ctx, parts, await withAll(parts, listQuery(ctx, 'names')));
  });

  router.get(imagePath('get'), async (ctx) => pass(ctx, parts, await owner(parts, imageName(ctx))));
  router.get(imagePath('json'), async (ctx) => pass(ctx, parts, await owner(parts, imageName(ctx))));
  router.get(imagePath('history'), async (ctx) => pass(ctx, parts, await owner(parts, imageName(ctx))));
  router.post(imagePath('push'), async (ctx) => pass(ctx, parts, await pushOwner(ctx, parts)));
  router.get(imagePath('json', 'distribution'), async (ctx) => {
    await pass(ctx, parts, (await parts.workers.some())[0]!);
  });

  router.post(imagePath('tag'), async (ctx) => {
    const image = await images.find(imageName(ctx));
    for (const worker of image?.workers ?? [await owner(parts, imageName(ctx))]) {
      const answer = await client.ask(worker, { method: 'POST', path: ctx.originalUrl });
      reply(ctx, answer);
      if (answer.status >= 300) return;
      await contents.touch(worker);
    }
  });

  router.post('/images/prune', async (ctx) => {
    const answers = await askAll(ctx, parts, { patience: 0 });
    if (!answers) return;
    await Promise.all(answers.map(({ worker }) => contents.touch(worker)));
    const deleted = answers.flatMap(({ body }) => body.ImagesDeleted ?? []);
    ctx.body = {
      ImagesDeleted: deleted.length > 0 ? deleted : null,
      SpaceReclaimed: answers.reduce((sum, { body }) => sum + body.SpaceReclaimed, 0),
    };
  });

  router.delete(/^\/images\/(.+)$/, (ctx) => removeImage(ctx, parts));
}

/** From all workers that have it. One that needs it still keeps it, and says so. */
async function removeImage(ctx: EngineContext, parts: GatewayParts): Promise<void> {
  const { images, contents, client } = parts;
  const all = await images.everywhere(imageName(ctx));
  if (all.length === 0) return await pass(ctx, parts, await owner(parts, imageName(ctx)));
  const answers = await Promise.all(
    all.map(({ worker }) => client.ask(worker, { method: 'DELETE', path: ctx.originalUrl })),
  );
  await Promise.all(all.map(({ worker }) => contents.touch(worker)));
  const refusal = answers.find(({ status }) => status >= 300);
  if (refusal) return reply(ctx, refusal);
  const seen = new Set<string>();
  ctx.body = answers
    .flatMap(({ body }) => body as object[])
    .filter((removal) => !seen.has(JSON.stringify(removal)) && seen.add(JSON.stringify(removal)));
}

/** One row an image, whichever workers have it; the newest first. */
export function mergeImages<T extends ImageSummary>(rows: readonly T[]): T[] {
  const images = new Map<string, T>();
  for (const row of rows) {
    const known = images.get(row.Id);
    images.set(row.Id, known ? together(known, row) : row);
  }
  return [...images.values()].toSorted((a, b) => b.Created - a.Created || (a.Id < b.Id ? -1 : 1));
}

function together<T extends ImageSummary>(a: T, b: T): T {
  const names = (key: 'RepoTags' | 'RepoDigests') =>
    [...new Set([...(a[key] ?? []), ...(b[key] ?? [])])].toSorted();
  return {
    ...a,
    RepoTags: names('RepoTags'),
    RepoDigests: names('RepoDigests'),
    Containers: a.Containers < 0 ? a.Containers : a.Containers + b.Containers,
  };
}

/** As `pass`, and whoever hears that it is over finds the image. */
async function change(ctx: EngineContext, parts: GatewayParts, worker: LivingWorker): Promise<void> {
  await pass(ctx, parts, worker, { beforeEnd: () => parts.contents.touch(worker) });
}

/** One that has it; where none has, one that says so. */
async function owner({ images, workers }: GatewayParts, reference: string): Promise<LivingWorker> {
  return (await images.find(reference))?.workers[0] ?? (await workers.some())[0]!;
}

/** A name without a tag stands for all its tags: then any worker that has one of them will do. */
async function pushOwner(ctx: EngineContext, parts: GatewayParts): Promise<LivingWorker> {
  const name = imageName(ctx);
  const image = await parts.images.find(withTag(name, stringQuery(ctx, 'tag')));
  return image?.workers[0] ?? (await parts.workers.some())[0]!;
}

/** A worker that has all of them, the missing ones brought to it. */
async function withAll(parts: GatewayParts, references: readonly string[]): Promise<LivingWorker> {
  const found = await Promise.all(references.map((reference) => parts.images.find(reference)));
  const home = found.find((image) => image !== undefined)?.workers[0] ?? (await parts.workers.some())[0]!;
  for (const [at, image] of found.entries()) {
    if (!image || image.workers.some(({ name }) => name === home.name)) continue;
    await parts.images.copy(references[at]!, image, home);
  }
  return home;
}

function withTag(name: string, tag: string | undefined): string {
  if (!tag) return name;
  return tag.includes(':') ? `${name}@${tag}` : `${name}:${tag}`;
}
