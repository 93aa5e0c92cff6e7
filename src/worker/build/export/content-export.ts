import type { Descriptor } from '#oci/descriptor.ts';
import type { BuildSession } from '../session/build-session.ts';
import { documentsOf, type ExportedResult } from './image-writer.ts';

/** What clients call the store that exporters write to (BuildKit, client/solve.go). */
const STORE = 'export';

/** Puts all of an image into the client's content store, what refers to something after that. */
export async function storeContent(
  exported: ExportedResult,
  session: BuildSession,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const put = ({ digest, size }: Descriptor, content: () => AsyncIterable<Uint8Array>) =>
    session.writeContent(STORE, { digest, size }, content, { signal });
  const stored = new Set<string>();
  for (const { descriptor, open } of exported.images.flatMap(({ layers }) => layers)) {
    if (stored.has(descriptor.digest)) continue;
    stored.add(descriptor.digest);
    await put(descriptor, () => open({ signal }));
  }
  for (const { descriptor, payload } of documentsOf(exported)) {
    await put(descriptor, async function* () {
      yield payload;
    });
  }
}
