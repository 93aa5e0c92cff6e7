import type { Attestation } from '../attest/attestation.ts';
import type { ExportedDocument } from '../export/exported-document.ts';
import { documentsOf, type ExportedResult } from '../export/image-writer.ts';
import type { DocumentsWriter } from '../history/build-documents.ts';
import type { BuildAttachments, BuildRecord } from '../history/build-record.ts';
import type { RecordFormat } from '../history/record-format.ts';
import type { ProgressSink } from '../solve/progress.ts';
import { withoutSecretValues } from './without-secrets.ts';

interface Told {
  readonly format: RecordFormat;
  /** As it is remembered. */
  readonly record: BuildRecord;
  /** Tells the build's log from its beginning. */
  readonly replay: (sink: ProgressSink) => Promise<void>;
  /** Why it failed, and what may be remembered of that. */
  readonly failure: { readonly error: unknown; readonly message: string } | undefined;
}

/** What a build leaves to be looked at when it is over: gathered while it runs, written down at its end. */
export class KeptDocuments {
  readonly #provenance: (readonly [platform: string, Attestation])[] = [];
  readonly #results = new Map<number, ExportedResult>();

  /** How the outcome for a platform was made; '' stands for the only one. */
  made(platform: string, provenance: Attestation): void {
    this.#provenance.push([platform, provenance]);
  }

  /** An image that an exporter has handed over. */
  exported(exporterId: number, image: ExportedResult): void {
    this.#results.set(exporterId, image);
  }

  async write(writer: DocumentsWriter, { format, record, replay, failure }: Told): Promise<BuildAttachments> {
    const { log, trace } = format;
    const attestations: Record<string, BuildAttachments['attestations'][string]> = {};
    for (const [platform, { predicateType, predicate }] of this.#provenance) {
      const kind = {
        mediaType: 'application/vnd.in-toto+json',
        annotations: { 'in-toto.io/predicate-type': predicateType },
      };
      const text = JSON.stringify(withoutSecretValues(predicate), null, 2);
      attestations[platform] = [await writer.add(kind, [Buffer.from(text)])];
    }
    for (const image of this.#results.values()) {
      for (const document of documentsOf(image)) await addDocument(writer, document);
    }
    const { error: errors } = format;
    return {
      log: await writer.add({ mediaType: log.mediaType }, log.encode(replay)),
      trace: await writer.add({ mediaType: trace.mediaType }, trace.encode(record)),
      ...(failure && {
        error: await writer.add({ mediaType: errors.mediaType }, [
          errors.encode(failure.error, failure.message),
        ]),
      }),
      attestations,
      results: Object.fromEntries([...this.#results].map(([id, { root }]) => [id, root])),
    };
  }
}

async function addDocument(
  writer: DocumentsWriter,
  { descriptor, payload }: ExportedDocument,
): Promise<void> {
  await writer.add({ mediaType: descriptor.mediaType }, [payload]);
}
