import { invalid, unsupported } from '#errors/errors.ts';
import type { Ref } from '../solve/ref.ts';
import { booleanAttr, epochAttr } from './export-attrs.ts';
import type { SolvedResult } from './exporter.ts';
import { isMap, metadataOf, resultPlatforms } from './result-platforms.ts';

/** What exporters of files (`type=local`, `type=tar`) hand over. */
export interface ExportedFiles {
  /** As `RefMounts.reading` takes them: one under '', or directories by platform (`linux_amd64`). */
  readonly refs: ReadonlyMap<string, Ref | undefined>;
  /** Time of every file; undefined: its own. */
  readonly mtime: Date | undefined;
}

/** Throws `invalid`, `unsupported`. */
export function exportedFiles(result: SolvedResult, attrs: Readonly<Record<string, string>>): ExportedFiles {
  const platforms = resultPlatforms(result);
  const several = isMap(result);
  const split = attrs['platform-split'];
  const inDirectories = split === undefined ? several : booleanAttr('platform-split', split);
  if (!inDirectories && platforms.length > 1) {
    throw unsupported('platform-split=false is not supported with several platforms');
  }
  if (attrs.mode !== undefined && attrs.mode !== 'copy') {
    throw invalid(`unsupported local exporter mode ${JSON.stringify(attrs.mode)}`);
  }
  const said = attrs['source-date-epoch'];
  const known = metadataOf(result, 'source.date.epoch', platforms[0]!);
  const epoch = said ?? (known && Buffer.from(known).toString('utf8'));
  return {
    refs: new Map(
      platforms.map(({ id, ref }) => [inDirectories ? id.replaceAll('/', '_') : '', ref] as const),
    ),
    mtime: epoch === undefined ? undefined : epochAttr('source-date-epoch', epoch),
  };
}
