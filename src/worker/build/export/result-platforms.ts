import { z } from 'zod';
import { invalid } from '#errors/errors.ts';
import { formatPlatform, hostPlatform, type Platform } from '#oci/platform.ts';
import type { Attestation } from '../attest/attestation.ts';
import type { Ref } from '../solve/ref.ts';
import type { SolvedResult } from './exporter.ts';

/** One of the images that a result holds. */
export interface ResultPlatform {
  /** As in `SolvedResult.refs`: `linux/amd64`. */
  readonly id: string;
  readonly platform: Platform;
  readonly ref: Ref | undefined;
}

const platformSchema = z.object({
  os: z.string().default(''),
  architecture: z.string().default(''),
  variant: z.string().optional(),
  'os.version': z.string().optional(),
  'os.features': z.array(z.string()).optional(),
});
const listedSchema = z.object({ ID: z.string(), Platform: platformSchema });
const platformsSchema = z.object({ Platforms: z.array(listedSchema).nullish() }).nullable();
const configSchema = platformSchema.nullable();

/**
 * The platforms of a result, in its order: those of `refs.platforms`, else the one of the image's configuration, else
 * this machine's. Throws `invalid`.
 */
export function resultPlatforms(result: SolvedResult): ResultPlatform[] {
  const listed = result.metadata.get('refs.platforms');
  if (listed) {
    const platforms = parse(platformsSchema, listed, 'refs.platforms')?.Platforms ?? [];
    if (platforms.length === 0) throw invalid('invalid empty platforms index for exporter');
    return platforms.map(({ ID: id, Platform }) => {
      if (id === '') throw invalid('invalid empty platform key for exporter');
      const platform = definedMembers(Platform) as Platform;
      if (platform.os === '' || platform.architecture === '') {
        throw invalid(`invalid platform value ${JSON.stringify(platform)} for exporter`);
      }
      return { id, platform, ref: refOf(result, id, platforms.length) };
    });
  }
  if (result.refs.size > 1) throw invalid('unable to export multiple refs, missing platforms mapping');
  const [ref] = result.refs.values();
  const config = result.metadata.get('containerimage.config');
  const platform = config ? (definedMembers(platformOf(config)) as Platform) : hostPlatform();
  return [{ id: formatPlatform(platform), platform, ref }];
}

/** Whether a result is several images by name, if only one of one name, and not an image alone. */
export function isMap({ refs }: SolvedResult): boolean {
  return refs.size > 0 && !refs.has('');
}

/** A result with what a client said of it beside. */
export function withMetadata(result: SolvedResult, said: Readonly<Record<string, string>>): SolvedResult {
  const added = Object.entries(said).map(([name, value]) => [name, Buffer.from(value)] as const);
  return { ...result, metadata: new Map([...result.metadata, ...added]) };
}

/** A result without what is stated of it, where nobody made an index of it for more than that. */
export function withoutInlineOnly(result: SolvedResult): SolvedResult {
  const { attestations, ...rest } = result;
  const stated = [...(attestations?.values() ?? [])].flat();
  return isMap(result) || stated.some(({ inlineOnly }) => !inlineOnly) ? result : rest;
}

/** `name/ID` of a result's metadata, or `name` where it is said once for all. */
export function metadataOf(
  { metadata }: SolvedResult,
  name: string,
  { id }: Pick<ResultPlatform, 'id'>,
): Uint8Array | undefined {
  return metadata.get(`${name}/${id}`) ?? metadata.get(name);
}

/** What is stated of a platform's outcome; of the only one, whatever it is called. */
export function statedOf(
  { attestations }: SolvedResult,
  { id }: Pick<ResultPlatform, 'id'>,
): readonly Attestation[] {
  return attestations?.get(id) ?? attestations?.get('') ?? [];
}

/** Of an image's configuration; of one that says nothing of it, this machine's. */
function platformOf(config: Uint8Array): Platform {
  const parsed = parse(configSchema, config, 'image config');
  if (parsed === null) throw invalid('invalid null image config for export');
  const { os = '', architecture = '' } = parsed;
  if (os === '' && architecture === '') return hostPlatform();
  if (os === '' || architecture === '') {
    throw invalid('invalid image config: os and architecture must be specified together');
  }
  return { ...parsed, os, architecture };
}

function refOf({ refs }: SolvedResult, id: string, count: number): Ref | undefined {
  if (refs.has(id)) return refs.get(id);
  if (count === 1 && refs.size <= 1) return [...refs.values()][0];
  throw invalid(`failed to find ref for ID ${id}`);
}

function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array, what: string): T {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw invalid(`${what} of the result is no JSON`, { cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalid(`${what} of the result: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

function definedMembers(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined));
}
