import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startSlipway } from '../e2e/harness/slipway.ts';
import { catalog, type ImageName } from './catalog.ts';
import { addIngredient } from './ingredients.ts';
import { RegistryCopy } from './registry-copy.ts';

const cache = fileURLToPath(new URL('../../.cache/images', import.meta.url));

/** What builds and pushes: a docker CLI pointed at an engine, and a registry beside it. */
interface Builder {
  readonly registry: string;
  dockerOk(...args: string[]): Promise<string>;
}

/** Puts stand-ins into a registry as `library/NAME`, making those that are not kept from an earlier run. */
export async function seedImages(registry: string, names: readonly ImageName[]): Promise<void> {
  await makeImages(names);
  for (const name of names) await pushKept(registry, name);
}

/** Builds the stand-ins that are not kept from an earlier run, with a Slipway of their own. */
export async function makeImages(names: readonly ImageName[]): Promise<void> {
  const missing = names.filter((name) => !existsSync(manifestFile(name)));
  if (missing.length === 0) return;
  await using slipway = await startSlipway();
  await buildImages(slipway, missing);
}

/** Builds stand-ins and the ones that they are made from, and keeps what came out. */
async function buildImages(builder: Builder, names: readonly ImageName[]): Promise<void> {
  for (const name of names) {
    if (existsSync(manifestFile(name))) continue;
    const { base, ingredient } = catalog[name];
    if (base) {
      await buildImages(builder, [base]);
      await pushKept(builder.registry, base);
    }
    await buildImage(builder, name, ingredient);
  }
}

async function buildImage(
  builder: Builder,
  name: ImageName,
  ingredient: Parameters<typeof addIngredient>[0],
): Promise<void> {
  const context = mkdtempSync(join(tmpdir(), 'slipway-context-'));
  try {
    cpSync(sourceOf(name), context, { recursive: true });
    await addIngredient(ingredient, context, cache);
    const reference = `${builder.registry}/library/${name}:built`;
    await builder.dockerOk('build', '--tag', name, '--tag', reference, context);
    await builder.dockerOk('push', reference);
    await new RegistryCopy(builder.registry, cache).fetch(`library/${name}`, 'built', manifestFile(name));
  } finally {
    rmSync(context, { recursive: true });
  }
}

function pushKept(registry: string, name: ImageName): Promise<void> {
  return pushMade(registry, name, `library/${name}`, ['latest', ...catalog[name].tags]);
}

/** Pushes a stand-in that `makeImages` has made, under any name. */
export function pushMade(
  registry: string,
  name: ImageName,
  repository: string,
  tags: readonly string[],
): Promise<void> {
  return new RegistryCopy(registry, cache).push(repository, tags, manifestFile(name));
}

/** Named after everything that it was made from, so that a changed Dockerfile is built anew. */
function manifestFile(name: ImageName): string {
  return join(cache, `${name}-${recipe(name)}.json`);
}

function recipe(name: ImageName): string {
  const { base, ingredient } = catalog[name];
  const hash = createHash('sha256').update(JSON.stringify([base ? recipe(base) : null, ingredient]));
  if (ingredient === 'node') hash.update(process.version);
  for (const file of readdirSync(sourceOf(name), { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(sourceOf(name), file);
    if (statSync(path).isFile()) hash.update(file).update(readFileSync(path));
  }
  return hash.digest('hex').slice(0, 16);
}

function sourceOf(name: ImageName): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
