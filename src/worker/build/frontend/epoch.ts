import { invalid, isKind } from '#errors/errors.ts';
import { readTar } from '#tar/reader.ts';
import { decompress } from '#worker/snapshots/tree/decompress.ts';
import type { Edge } from '../llb/vertex.ts';
import type { Ref } from '../solve/ref.ts';
import type { Bridge } from './frontend.ts';

/** The latest that Go's and JavaScript's times agree on how to write. */
const MAX_SECONDS = 253_402_300_799;
const CHUNK_BYTES = 1024 * 1024;

export interface EpochPorts {
  readonly bridge: Pick<Bridge, 'solve' | 'readDirectory' | 'readFile'>;
  /** What a name stands for: `context`, a named context, a stage. undefined: it has no files. Throws `invalid`. */
  readonly sourceOf: (name: string) => Promise<Edge | undefined>;
}

/**
 * SOURCE_DATE_EPOCH: seconds since 1970, or what has a time: a repository's commit, or a download, which was last
 * changed once or, when its server does not say, is as old as the youngest file of the archive that it is. undefined:
 * there is none. Throws `invalid`.
 */
export async function resolveEpoch(
  text: string,
  { bridge, sourceOf }: EpochPorts,
): Promise<Date | undefined> {
  if (text === '') return undefined;
  if (!/^[+-]?\d+$/.test(text)) {
    const edge = await sourceOf(text);
    return edge && timeOf(edge, bridge);
  }
  if (text.length > 16 || Math.abs(Number(text)) > MAX_SECONDS) {
    throw invalid(`invalid SOURCE_DATE_EPOCH: ${text}`);
  }
  return new Date(Number(text) * 1000);
}

/** Directories of a client and images have none of their own. */
async function timeOf(edge: Edge, bridge: EpochPorts['bridge']): Promise<Date | undefined> {
  const { op } = edge.vertex;
  if (op.kind !== 'source' || !/^(?:git|https?):/.test(op.identifier)) return undefined;
  const ref = await bridge.solve(edge);
  // All files of a checkout have the time of its commit; a download that nobody knows the time of has 0.
  const entries = await bridge.readDirectory(ref, '/');
  const times = entries
    .map(({ modTime }) => Number(modTime / 1_000_000_000n))
    .filter((seconds) => seconds > 0);
  if (times.length > 0) return new Date(Math.max(...times) * 1000);
  const { 'http.filename': filename } = op.attrs;
  return filename === undefined ? undefined : archiveTime(ref, filename, bridge);
}

/** Of its youngest file. undefined for what is no archive. */
async function archiveTime(
  ref: Ref,
  filename: string,
  bridge: EpochPorts['bridge'],
): Promise<Date | undefined> {
  let latest: number | undefined;
  try {
    for await (const { entry } of readTar(decompress(bytesOf(ref, filename, bridge)))) {
      if (entry.type === 'file') latest = Math.max(latest ?? entry.mtime, entry.mtime);
    }
  } catch (error) {
    if (isKind(error, 'invalid')) return undefined;
    throw error;
  }
  return latest === undefined ? undefined : new Date(Math.floor(latest) * 1000);
}

async function* bytesOf(ref: Ref, path: string, bridge: EpochPorts['bridge']): AsyncGenerator<Uint8Array> {
  for (let offset = 0; ; ) {
    const chunk = await bridge.readFile(ref, path, { offset, length: CHUNK_BYTES });
    if (chunk.length === 0) return;
    yield chunk;
    offset += chunk.length;
    if (chunk.length < CHUNK_BYTES) return;
  }
}
