import { invalid } from '#errors/errors.ts';
import type { Attestation } from '../attest/attestation.ts';
import type { Ref } from '../solve/ref.ts';
import { booleanAttr, epochAttr } from './export-attrs.ts';
import type { SolvedResult } from './exporter.ts';
import { isMap, metadataOf, resultPlatforms, statedOf } from './result-platforms.ts';

/** What exporters of files (`type=local`, `type=tar`) hand over. */
export interface ExportedFiles {
  readonly platforms: readonly PlatformFiles[];
  /** Each platform's files are in a directory of its own; else all are in one. */
  readonly split: boolean;
  /** Whether there are platforms by name, if only one. */
  readonly several: boolean;
  /** Before the names of statements. */
  readonly prefix: string;
  /** Time of every file; undefined: its own. */
  readonly mtime: Date | undefined;
}

export interface PlatformFiles {
  readonly id: string;
  /** Its name as a directory: `linux_amd64`. */
  readonly directory: string;
  readonly ref: Ref | undefined;
  /** Those that are for files, not only for images. */
  readonly attestations: readonly Attestation[];
}

/** Throws `invalid`. */
export function exportedFiles(result: SolvedResult, attrs: Readonly<Record<string, string>>): ExportedFiles {
  const platforms = resultPlatforms(result);
  const several = isMap(result);
  const split = attrs['platform-split'];
  const prefix = attrs['attestation-prefix'] ?? '';
  if (/[/\0]/.test(prefix)) throw invalid(`invalid attestation-prefix ${JSON.stringify(prefix)}`);
  const mode = (attrs.mode ?? '').trim().toLowerCase();
  // What is there beside is the client's to delete.
  if (!['', 'copy', 'delete'].includes(mode))
    throw invalid(`invalid local exporter mode ${JSON.stringify(attrs.mode)}`);
  const said = attrs['source-date-epoch'];
  const known = metadataOf(result, 'source.date.epoch', platforms[0]!);
  const epoch = said ?? (known && Buffer.from(known).toString('utf8'));
  return {
    platforms: platforms.map((platform) => ({
      id: platform.id,
      directory: directoryOf(platform.id),
      ref: platform.ref,
      attestations: statedOf(result, platform).filter(({ inlineOnly }) => !inlineOnly),
    })),
    split: split === undefined ? several : booleanAttr('platform-split', split),
    several,
    prefix,
    mtime: epoch === undefined ? undefined : epochAttr('source-date-epoch', epoch),
  };
}

/** What a platform's directory is called: `linux_amd64`. */
export function directoryOf(id: string): string {
  return id.replaceAll(/[/\\:]/g, '_');
}
