import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { invalid } from '#errors/errors.ts';
import type { SourceQuestion } from '#worker/build/policy/policy-verifier.ts';
import type { AttestationChain, SourceMeta, WantedMeta } from '#worker/build/policy/source-meta.ts';
import { platformFromPb } from '../definition/platform-pb.ts';
import {
  ChecksumRequest_ChecksumAlgo as Algorithm,
  type ResolveSourceMetaRequest,
  type ResolveSourceMetaResponseSchema,
} from '../proto/github.com/moby/buildkit/frontend/gateway/pb/gateway_pb.ts';

const ALGORITHMS: Readonly<Record<number, 'sha256' | 'sha384' | 'sha512'>> = {
  [Algorithm.SHA256]: 'sha256',
  [Algorithm.SHA384]: 'sha384',
  [Algorithm.SHA512]: 'sha512',
};

/** Throws `invalid`. */
export function sourceQuestion(request: ResolveSourceMetaRequest): SourceQuestion {
  const { Source: source, Platform: platform, LogName: name, Git, Image, HTTP } = request;
  if (!source) throw invalid('source is required');
  const { identifier, attrs } = source;
  const checksum = HTTP?.ChecksumRequest;
  return {
    source: { kind: 'source', identifier, attrs },
    platform: platform && platformFromPb(platform),
    ...(name && { name }),
    wanted: {
      mode: resolveMode(request.ResolveMode),
      ...(Image && {
        noConfig: Image.NoConfig,
        attestations: Image.AttestationChain,
        predicates: Image.ResolveAttestations,
      }),
      ...(Git?.ReturnObject && { gitObjects: true }),
      ...(checksum && {
        checksum: { algorithm: algorithmOf(checksum.Algo), suffix: checksum.Suffix },
      }),
    },
  };
}

export function resolveMode(mode: string): NonNullable<WantedMeta['mode']> {
  if (mode === '' || mode === 'default') return 'default';
  if (mode === 'pull' || mode === 'local') return mode;
  throw invalid(`invalid image resolve mode: ${mode}`);
}

export function sourceMetaToPb({
  source: { identifier, attrs },
  image,
  git,
  http,
}: SourceMeta): MessageInitShape<typeof ResolveSourceMetaResponseSchema> {
  return {
    Source: { identifier, attrs: { ...attrs } },
    ...(image && {
      Image: {
        Digest: image.digest,
        ...(image.config && { Config: image.config }),
        ...(image.attestations && { AttestationChain: chainToPb(image.attestations) }),
      },
    }),
    ...(git && {
      Git: {
        Checksum: git.checksum,
        Ref: git.ref,
        CommitChecksum: git.commitChecksum ?? '',
        ...(git.commitObject && { CommitObject: git.commitObject }),
        ...(git.tagObject && { TagObject: git.tagObject }),
      },
    }),
    ...(http && {
      HTTP: {
        Checksum: http.digest,
        Filename: http.filename,
        ...(http.lastModified && { LastModified: timestampFromDate(http.lastModified) }),
        ...(http.checksum && {
          ChecksumResponse: { Digest: http.checksum.digest, Suffix: http.checksum.suffix },
        }),
      },
    }),
  };
}

function chainToPb({
  root,
  imageManifest,
  attestationManifest,
  signatureManifests,
  blobs,
}: AttestationChain) {
  const named = blobs.map(({ descriptor, data }) => {
    const { mediaType, digest, size, annotations = {} } = descriptor;
    const told = { mediaType, digest, size: BigInt(size), annotations: { ...annotations } };
    return [digest, { descriptor: told, data }] as const;
  });
  return {
    Root: root,
    ImageManifest: imageManifest,
    AttestationManifest: attestationManifest ?? '',
    SignatureManifests: [...signatureManifests],
    Blobs: Object.fromEntries(named),
  };
}

function algorithmOf(number: Algorithm) {
  const algorithm = ALGORITHMS[number];
  if (algorithm === undefined) throw invalid(`unsupported checksum algorithm: ${number}`);
  return algorithm;
}
