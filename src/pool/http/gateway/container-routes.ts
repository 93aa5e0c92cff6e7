import { conflict, invalid, notFound } from '#errors/errors.ts';
import { generateContainerName, parseContainerName } from '#worker/containers/container-names.ts';
import { readJson } from '#worker/http/body.ts';
import { containerPath, containerReference } from '#worker/http/container-path.ts';
import { stringQuery } from '#worker/http/query.ts';
import type { EngineContext, EngineRouter } from '#worker/http/router.ts';
import { needsOf, withoutConstraints } from '../../gateway/container-needs.ts';
import type { LivingWorker } from '../../gateway/workers.ts';
import { askAll } from './ask-all.ts';
import { listContainers } from './container-list.ts';
import type { GatewayParts } from './gateway-parts.ts';
import { pass, queryOf, reply, versioned } from './pass.ts';

/** Containers and execs of the whole pool. */
export function containerRoutes(router: EngineRouter, parts: GatewayParts): void {
  const { placements, objects, client } = parts;

  router.get('/containers/json', (ctx) => listContainers(ctx, parts));
  router.post('/containers/create', (ctx) => createContainer(ctx, parts));

  router.post('/containers/prune', async (ctx) => {
    const answers = await askAll(ctx, parts, { patience: 0 });
    if (!answers) return;
    const ids = answers.flatMap(({ body }) => body.ContainersDeleted ?? []) as string[];
    for (const id of ids) await placements.forget('container', id);
    const SpaceReclaimed = answers.reduce((sum, { body }) => sum + body.SpaceReclaimed, 0);
    ctx.body = { ContainersDeleted: ids.length > 0 ? ids : null, SpaceReclaimed };
  });

  router.delete(containerPath(), async (ctx) => {
    const found = await objects.find('container', containerReference(ctx));
    await passToOwner(ctx, parts);
    if (found?.id && ctx.res.statusCode < 300) await placements.forget('container', found.id);
  });

  router.post(containerPath('start'), (ctx) => startContainer(ctx, parts));
  router.post(containerPath('rename'), (ctx) => renameContainer(ctx, parts));

  router.post(containerPath('exec'), async (ctx) => {
    const worker = await objects.workerOf('container', containerReference(ctx));
    const body = await readJson(ctx);
    const answer = await client.ask(worker, { method: 'POST', path: ctx.originalUrl, body: body ?? {} });
    if (answer.status === 201) objects.rememberExec(answer.body.Id, worker.name);
    reply(ctx, answer);
  });

  router.all(/^\/containers\/(\/?[^/]+)(?:\/.*)?$/, (ctx) => passToOwner(ctx, parts));

  router.all(/^\/exec\/([^/]+)\/.*$/, async (ctx) => {
    await pass(ctx, parts, await objects.workerOfExec(ctx.captures?.[0] ?? ''));
  });

  router.post('/commit', async (ctx) => {
    const worker = await objects.workerOf('container', stringQuery(ctx, 'container') ?? '');
    await pass(ctx, parts, worker, { beforeEnd: () => parts.contents.touch(worker) });
  });
}

/** What it publishes is published by gateways too, if they are to. */
async function startContainer(ctx: EngineContext, parts: GatewayParts): Promise<void> {
  const { published, objects, client } = parts;
  if (!published) return await passToOwner(ctx, parts);
  const reference = containerReference(ctx);
  const worker = await objects.workerOf('container', reference);
  await published.start(worker, reference, async () => {
    const answer = await client.ask(worker, { method: 'POST', path: ctx.originalUrl });
    reply(ctx, answer);
    return answer.status < 300;
  });
}

/** Of one that nobody has, a worker says so in the words of what was asked. */
async function passToOwner(ctx: EngineContext, parts: GatewayParts): Promise<void> {
  const found = await parts.objects.find('container', containerReference(ctx));
  const { workers } = parts;
  await pass(ctx, parts, found ? await workers.named(found.worker) : (await workers.some())[0]!);
}

async function createContainer(ctx: EngineContext, parts: GatewayParts): Promise<void> {
  const { placements, placer, client } = parts;
  const body = await readJson(ctx);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalid('config cannot be empty in order to create a container');
  }
  const asked = body as Record<string, unknown>;
  const needs = needsOf(asked);
  const given = stringQuery(ctx, 'name');
  if (given) await expectFreeName(parts, parseContainerName(given));
  const worker = await placer.forContainer(needs, stringQuery(ctx, 'platform') || undefined);
  const name = await reserveName(parts, worker, given, needs.project);
  try {
    const query = queryOf(ctx);
    query.set('name', name);
    const path = versioned(ctx, '/containers/create', query);
    const answer = await client.ask(worker, { method: 'POST', path, body: withoutConstraints(asked) });
    if (answer.status === 201) {
      await placements.confirm('container', name, answer.body.Id);
      await noteUse(parts, worker, needs);
    }
    reply(ctx, answer);
  } finally {
    await placements.release('container', name);
  }
}

/** What it uses is in use, and volumes that came with it are known. */
async function noteUse(
  { placements }: GatewayParts,
  worker: LivingWorker,
  { networks, volumes, project }: ReturnType<typeof needsOf>,
): Promise<void> {
  for (const network of networks) await placements.markUsed('network', network);
  for (const name of volumes) {
    await placements.adopt({ kind: 'volume', name, id: name, worker: worker.name, project });
    await placements.markUsed('volume', name);
  }
}

async function reserveName(
  parts: GatewayParts,
  worker: LivingWorker,
  given: string | undefined,
  project: string | undefined,
): Promise<string> {
  const reserve = (name: string) =>
    parts.placements.reserve({ kind: 'container', name, worker: worker.name, project });
  if (given) {
    const name = parseContainerName(given);
    if (await reserve(name)) return name;
    await expectFreeName(parts, name);
    if (await reserve(name)) return name;
    throw taken(name, 'that is being made');
  }
  for (let attempt = 0; ; attempt++) {
    const name = generateContainerName(attempt);
    if (await reserve(name)) return name;
  }
}

/** A name whose container is gone is free, even if nobody noticed yet. Throws `conflict`. */
async function expectFreeName(parts: GatewayParts, name: string): Promise<void> {
  const [holder] = (await parts.placements.find('container', name)).filter((each) => each.name === name);
  if (!holder) return;
  if (holder.id === null) throw taken(name, 'that is being made');
  const worker = await parts.workers.named(holder.worker).catch(() => undefined);
  if (worker) {
    const { status } = await parts.client.ask(worker, { path: `/containers/${holder.id}/json` });
    if (status === 404) return await parts.placements.forget('container', holder.id);
  }
  throw taken(name, `"${holder.id}"`);
}

function nameIn(text: string): string | undefined {
  try {
    return parseContainerName(text);
  } catch {
    return undefined;
  }
}

function taken(name: string, holder: string) {
  return conflict(
    `Conflict. The container name "/${name}" is already in use by container ${holder}. You have to remove (or rename) that container to be able to reuse that name.`,
  );
}

async function renameContainer(ctx: EngineContext, parts: GatewayParts): Promise<void> {
  const { objects, placements } = parts;
  const reference = containerReference(ctx);
  const found = await objects.find('container', reference);
  const worker = await objects.workerOf('container', reference);
  const name = nameIn(stringQuery(ctx, 'name') ?? '');
  // It says what is wrong with it.
  if (name === undefined) return await pass(ctx, parts, worker);
  if (!found?.id) throw notFound(`No such container: ${reference}`);
  if (found.name !== name) {
    await expectFreeName(parts, name);
    if (!(await placements.rename('container', found.id, name))) throw taken(name, 'of another worker');
  }
  try {
    await pass(ctx, parts, worker);
  } finally {
    if (ctx.res.statusCode >= 300 && found.name !== null) {
      await placements.rename('container', found.id, found.name);
    }
  }
}
