import { Readable } from 'node:stream';
import { invalid, notFound, unsupported } from '#errors/errors.ts';
import { hostPlatform, parsePlatform } from '#oci/platform.ts';
import { type ImageReference, parseImageReference, withDefaultTag } from '#oci/reference.ts';
import { MAX_CONFIG_BYTES, parseImageConfig } from '../images/config-parser.ts';
import type { Images } from '../images/images.ts';
import { parseManifest } from '../images/pull/manifest-parser.ts';
import { readJson, requestBody } from './body.ts';
import { ProgressStream } from './progress-stream.ts';
import { booleanQuery, listQuery, stringQuery } from './query.ts';
import { authShape, credentialsOf, registryAuth, registryDomain } from './registry-auth.ts';
import { requestSignal } from './request-signal.ts';
import { type EngineContext, type EngineRouter, imageName, imagePath } from './router.ts';
import { searchRoutes } from './search-routes.ts';

/** Images on their way in and out: pull, push, import, load, save; and what registries know of them. */
export function imagesTransferRoutes(router: EngineRouter, images: Images): void {
  router.post('/images/create', async (ctx) => {
    const progress = new ProgressStream(ctx);
    try {
      if (stringQuery(ctx, 'fromImage')) await pull(ctx, images, progress);
      else if (stringQuery(ctx, 'fromSrc')) await importTar(ctx, images, progress);
      else throw invalid('fromImage or fromSrc is required');
      progress.end();
    } catch (error) {
      await progress.fail(error);
    }
  });

  router.post(imagePath('push'), async (ctx) => {
    const reference = named(imageName(ctx), stringQuery(ctx, 'tag'));
    const progress = new ProgressStream(ctx);
    try {
      await images.pusher.push(reference, {
        ...withCredentials(ctx),
        progress: (line) => progress.write(line),
        signal: progress.signal,
      });
      progress.end();
    } catch (error) {
      await progress.fail(error);
    }
  });

  router.post('/images/load', async (ctx) => {
    const progress = new ProgressStream(ctx);
    try {
      await images.loader.load(requestBody(ctx), {
        quiet: booleanQuery(ctx, 'quiet', true),
        progress: (line) => progress.write(line),
        signal: progress.signal,
      });
      progress.end();
    } catch (error) {
      await progress.fail(error);
    }
  });

  router.get('/images/get', (ctx) => save(ctx, images, listQuery(ctx, 'names')));
  router.get(imagePath('get'), (ctx) => save(ctx, images, [imageName(ctx)]));

  searchRoutes(router, images);

  router.get(imagePath('json', 'distribution'), async (ctx) => {
    ctx.body = await inspectRemote(ctx, images);
  });

  router.post('/auth', async (ctx) => {
    const auth = await readJson(ctx, authShape);
    const credentials = credentialsOf(auth) ?? {};
    await images.registries.logIn(registryDomain(auth.serveraddress ?? ''), credentials, {
      signal: requestSignal(ctx),
    });
    ctx.body = { IdentityToken: '', Status: 'Login Succeeded' };
  });
}

async function pull(ctx: EngineContext, images: Images, progress: ProgressStream): Promise<void> {
  const reference = named(stringQuery(ctx, 'fromImage')!, stringQuery(ctx, 'tag'));
  const platform = stringQuery(ctx, 'platform');
  const options = {
    ...withCredentials(ctx),
    ...(platform && { platform: parsePlatform(platform) }),
    progress: (line: object) => progress.write(line),
    signal: progress.signal,
  };
  // Without a tag, all of them: the CLI always names one.
  if (reference.tag || reference.digest) await images.puller.pull(reference, options);
  else await images.puller.pullAll(reference, options);
}

async function importTar(ctx: EngineContext, images: Images, progress: ProgressStream): Promise<void> {
  if (stringQuery(ctx, 'fromSrc') !== '-') {
    throw unsupported(
      'importing from a URL is not supported: download it, and import it from standard input',
    );
  }
  const repository = stringQuery(ctx, 'repo');
  const tag = stringQuery(ctx, 'tag');
  const platform = stringQuery(ctx, 'platform');
  const image = await images.importer.import({
    tar: requestBody(ctx),
    ...(repository && { name: tag ? `${repository}:${tag}` : repository }),
    message: stringQuery(ctx, 'message') ?? '',
    changes: listQuery(ctx, 'changes'),
    ...(platform && { platform: parsePlatform(platform) }),
    signal: progress.signal,
  });
  await progress.write({ status: image.id });
}

async function save(ctx: EngineContext, images: Images, names: string[]): Promise<void> {
  if (names.length === 0) throw invalid('no image was named');
  const archive = await images.saver.save(names);
  ctx.type = 'application/x-tar';
  ctx.body = Readable.from(archive, { objectMode: false });
}

async function inspectRemote(ctx: EngineContext, images: Images): Promise<object> {
  const reference = withDefaultTag(parseImageReference(imageName(ctx)));
  const signal = requestSignal(ctx);
  const fetchers = images.registries.fetchers(reference, registryAuth(ctx));
  for (const [i, fetcher] of fetchers.entries()) {
    try {
      const fetched = await fetcher.manifest(reference.digest ?? reference.tag!, { signal });
      const parsed = parseManifest(fetched.mediaType, fetched.payload);
      const platforms =
        parsed.kind === 'index'
          ? parsed.index.manifests.map((manifest) => manifest.platform ?? hostPlatform())
          : [await configPlatform(fetcher, parsed.manifest.config, signal)];
      return {
        Descriptor: { mediaType: fetched.mediaType, digest: fetched.digest, size: fetched.payload.length },
        Platforms: platforms,
      };
    } catch (error) {
      if (i === fetchers.length - 1) throw error;
    }
  }
  throw notFound(`no registry has ${reference.path}`);
}

async function configPlatform(
  fetcher: ReturnType<Images['registries']['fetchers']>[number],
  config: Parameters<typeof fetcher.smallBlob>[0],
  signal: AbortSignal,
): Promise<object> {
  const raw = await fetcher.smallBlob(config, MAX_CONFIG_BYTES, { signal });
  const { os, architecture, variant } = parseImageConfig(raw);
  return { os, architecture, ...(variant && { variant }) };
}

/** A name with the tag, or the digest, that came in a parameter of its own. */
function named(name: string, tag: string | undefined): ImageReference {
  if (!tag) return parseImageReference(name);
  return parseImageReference(tag.includes(':') ? `${name}@${tag}` : `${name}:${tag}`);
}

function withCredentials(ctx: EngineContext) {
  const credentials = registryAuth(ctx);
  return credentials ? { credentials } : {};
}
