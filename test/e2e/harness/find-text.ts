import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';

const GZIP = Buffer.from([0x1f, 0x8b]);
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** `text in file` for each of the texts and each file below a folder that has it, also where that is compressed. */
export function findText(folder: string, texts: readonly string[]): string[] {
  const found: string[] = [];
  for (const entry of entriesOf(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...findText(path, texts));
    else if (entry.isFile()) {
      const content = contentOf(path);
      found.push(...texts.filter((text) => content?.includes(text)).map((text) => `${text} in ${path}`));
    }
  }
  return found;
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** undefined where it is gone meanwhile. */
function contentOf(path: string): Buffer | undefined {
  try {
    const bytes = readFileSync(path);
    if (bytes.subarray(0, 2).equals(GZIP)) return gunzipSync(bytes);
    return bytes.subarray(0, 4).equals(ZSTD) ? zstdDecompressSync(bytes) : bytes;
  } catch {
    return undefined;
  }
}
