import { readFile } from 'node:fs/promises';
import { ConfigError } from '#config/config-error.ts';
import { messageOf } from '#errors/errors.ts';

/** PostgreSQL's URL, out of the settings or the file that they name; `setting` is where they are. Throws `ConfigError`. */
export async function databaseUrl(
  setting: string,
  { url, urlFile }: { url: string | null; urlFile: string | null },
): Promise<string> {
  if (url !== null) return url;
  try {
    return (await readFile(urlFile!, 'utf8')).trim();
  } catch (error) {
    throw new ConfigError(`${setting}.urlFile: ${messageOf(error)}`);
  }
}
