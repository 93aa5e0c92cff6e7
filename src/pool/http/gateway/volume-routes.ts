import { conflict } from '#errors/errors.ts';
import { readJson } from '#worker/http/body.ts';
import type { EngineRouter } from '#worker/http/router.ts';
import { askAll } from './ask-all.ts';
import type { GatewayParts } from './gateway-parts.ts';
import { pass, reply } from './pass.ts';

interface VolumeBody {
  readonly Name?: unknown;
  readonly Labels?: Readonly<Record<string, string>> | null;
}

/** Volumes: each is on one worker; one that nothing used yet goes to where it is used first. */
export function volumeRoutes(router: EngineRouter, parts: GatewayParts): void {
  const { placements, placer, client, objects, workers } = parts;

  router.get('/volumes', async (ctx) => {
    const answers = await askAll(ctx, parts);
    if (!answers) return;
    const volumes = answers.flatMap(({ body }) => (body.Volumes ?? []) as { Name: string }[]);
    ctx.body = { Volumes: volumes.toSorted((a, b) => (a.Name < b.Name ? -1 : 1)), Warnings: null };
  });

  router.post('/volumes/create', async (ctx) => {
    const body = ((await readJson(ctx)) ?? {}) as VolumeBody;
    const name = typeof body.Name === 'string' ? body.Name : '';
    const project = body.Labels?.['com.docker.compose.project'];
    const known = name === '' ? undefined : await objects.find('volume', name);
    const worker = known ? await workers.named(known.worker) : await placer.forObject({ project });
    const asked = { method: 'POST', path: ctx.originalUrl, body };
    const placed = { kind: 'volume', name, worker: worker.name, project } as const;
    if (known || name === '') return reply(ctx, await client.ask(worker, asked));
    if (!(await placements.reserve(placed))) throw conflict(`volume ${name} is being made`);
    try {
      const answer = await client.ask(worker, asked);
      if (answer.status === 201) await placements.confirm('volume', name, name);
      reply(ctx, answer);
    } finally {
      await placements.release('volume', name);
    }
  });

  router.post('/volumes/prune', async (ctx) => {
    const answers = await askAll(ctx, parts, { patience: 0 });
    if (!answers) return;
    const names = answers.flatMap(({ body }) => body.VolumesDeleted ?? []) as string[];
    for (const name of names) await placements.forget('volume', name);
    ctx.body = {
      VolumesDeleted: names,
      SpaceReclaimed: answers.reduce((sum, { body }) => sum + body.SpaceReclaimed, 0),
    };
  });

  router.get('/volumes/:name', async (ctx) => {
    await pass(ctx, parts, await objects.workerOf('volume', ctx.params.name ?? ''));
  });

  router.delete('/volumes/:name', async (ctx) => {
    const name = ctx.params.name ?? '';
    await pass(ctx, parts, await objects.workerOf('volume', name));
    if (ctx.res.statusCode < 300) await placements.forget('volume', name);
  });
}
