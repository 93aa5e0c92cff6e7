import { pingRoutes } from '#worker/http/ping-routes.ts';
import { listQuery } from '#worker/http/query.ts';
import type { EngineContext, EngineRouter } from '#worker/http/router.ts';
import { DISK_STATUS } from '#worker/http/system-routes.ts';
import { askAll } from './ask-all.ts';
import type { GatewayParts } from './gateway-parts.ts';
import { mergeImages } from './image-routes.ts';
import { pass } from './pass.ts';

const SUMS = ['Containers', 'ContainersRunning', 'ContainersPaused', 'ContainersStopped', 'NCPU', 'MemTotal'];

/** What the pool says of itself: as one engine with the cores, the memory and the containers of all. */
export function poolSystemRoutes(router: EngineRouter, parts: GatewayParts, { id }: { id: string }): void {
  pingRoutes(router);

  const anyWorker = async (ctx: EngineContext) => pass(ctx, parts, (await parts.workers.some())[0]!);
  router.get('/version', anyWorker);
  router.post('/auth', anyWorker);

  router.get('/info', async (ctx) => {
    const answers = await askAll(ctx, parts);
    if (!answers) return;
    const sums = SUMS.map((key) => [key, answers.reduce((sum, { body }) => sum + body[key], 0)]);
    const images = await askAll(ctx, parts, { path: '/images/json' });
    ctx.body = {
      ...answers[0]!.body,
      ...Object.fromEntries(sums),
      ID: id,
      Name: 'slipway pool',
      Images: images ? mergeImages(images.flatMap(({ body }) => body)).length : 0,
      DriverStatus: [
        ['Workers', String(answers.length)],
        ...answers.map(({ worker, body }) => [
          ` ${worker.name}`,
          `${worker.state}, ${body.NCPU} CPUs, ${body.ContainersRunning} of ${body.Containers} containers running${diskOf(body)}`,
        ]),
      ],
      SystemTime: new Date().toISOString(),
    };
  });

  router.get('/system/df', async (ctx) => {
    const answers = await askAll(ctx, parts, { patience: 0 });
    if (!answers) return;
    const types = listQuery(ctx, 'type');
    const wants = (type: string) => types.length === 0 || types.includes(type);
    const all = (key: string) => answers.flatMap(({ body }) => body[key] ?? []);
    const sum = (key: string) => answers.reduce((total, { body }) => total + (body[key] ?? 0), 0);
    ctx.body = {
      ...(wants('image') && { LayersSize: sum('LayersSize'), Images: mergeImages(all('Images')) }),
      ...(wants('container') && { Containers: all('Containers') }),
      ...(wants('volume') && { Volumes: all('Volumes') }),
      ...(wants('build-cache') && { BuildCache: all('BuildCache'), BuilderSize: sum('BuilderSize') }),
    };
  });
}

/** What an engine says of a disk of its own. */
function diskOf({ DriverStatus = [] }: { DriverStatus?: [string, string][] }): string {
  const said = DriverStatus.find(([name]) => name === DISK_STATUS)?.[1];
  return said === undefined ? '' : `, disk: ${said}`;
}
