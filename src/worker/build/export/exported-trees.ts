import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { invalid } from '#errors/errors.ts';
import { type Attestation, statementOf } from '../attest/attestation.ts';
import type { ExportedTree } from '../session/build-session.ts';
import { fileSubjects } from './file-subjects.ts';
import { directoryOf, type ExportedFiles, type PlatformFiles } from './files-options.ts';
import type { RefMounts } from './ref-mounts.ts';

/**
 * Runs `task` with the directories whose files together are handed over: those of the platforms, each in a directory of
 * its own or all in one, and what is stated of them beside.
 */
export async function readingTrees<T>(
  mounts: RefMounts,
  files: ExportedFiles,
  task: (trees: readonly ExportedTree[]) => Promise<T>,
  { signal }: { signal: AbortSignal },
): Promise<T> {
  const { platforms, split } = files;
  const alone = !split && platforms.length === 1;
  const refs = new Map(platforms.map(({ directory, ref }) => [alone ? '' : directory, ref] as const));
  const show = async (root: string) => {
    const rootOf = ({ directory }: PlatformFiles) => (alone ? root : join(root, directory));
    const trees = split
      ? [{ root, name: 'files' }]
      : platforms.map((platform) => ({ root: rootOf(platform), name: platform.id }));
    if (platforms.every(({ attestations }) => attestations.length === 0)) return await task(trees);
    const beside = await mkdtemp(join(tmpdir(), 'slipway-statements-'));
    try {
      for (const platform of platforms) await state(platform, files, rootOf(platform), { beside, signal });
      return await task([...trees, { root: beside, name: 'attestations' }]);
    } finally {
      await rm(beside, { recursive: true, force: true });
    }
  };
  return await mounts.reading(refs, show, { signal });
}

/** Writes what is stated of a platform's files where it is to appear. */
async function state(
  { id, directory, attestations }: PlatformFiles,
  { split, several, prefix }: ExportedFiles,
  root: string,
  { beside, signal }: { beside: string; signal: AbortSignal },
): Promise<void> {
  const subjects = await fileSubjects(root, { signal });
  const target = split ? join(beside, directory) : beside;
  await mkdir(target, { recursive: true });
  for (const attestation of attestations) {
    const name = `${prefix}${nameOf(attestation, several && !split ? directoryOf(id) : undefined)}`;
    const statement = JSON.parse(Buffer.from(statementOf(attestation, subjects)).toString('utf8'));
    try {
      await writeFile(join(target, name), JSON.stringify(statement, null, 2), { flag: 'wx', mode: 0o600 });
    } catch (cause) {
      throw invalid(`cannot write the attestation ${JSON.stringify(name)}`, { cause });
    }
  }
}

/** `provenance.json`, or of one platform among others in one directory `provenance.linux_amd64.json`. */
function nameOf({ filename }: Attestation, platform: string | undefined): string {
  if (platform === undefined) return filename;
  const extension = extname(filename);
  return `${filename.slice(0, -extension.length)}.${platform}${extension}`;
}
