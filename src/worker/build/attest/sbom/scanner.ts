import { invalid } from '#errors/errors.ts';
import type { Platform } from '#oci/platform.ts';
import { imageEdge } from '../../frontend/graph/sources.ts';
import { readImage } from '../../frontend/image/image.ts';
import type { ExecMount } from '../../llb/op.ts';
import { type Edge, vertex } from '../../llb/vertex.ts';
import type { Attestation } from '../attestation.ts';
import { SPDX_PREDICATE } from './spdx.ts';

/** What is to be listed: an image's files, and what was used to make them, by name. undefined: no files. */
export interface ScanTargets {
  readonly core: Edge | undefined;
  readonly extras: ReadonlyMap<string, Edge>;
}

export interface Scanner {
  /** In full, with a digest. */
  readonly reference: string;
  readonly config: Uint8Array;
  readonly platform: Platform;
  readonly parameters: Readonly<Record<string, string>>;
}

const CORE = 'sbom';
const SOURCES = '/run/src';
const DESTINATION = '/run/out/';

/**
 * Runs an image that lists packages (BuildKit's docs/attestations/sbom-protocol.md): the edge is the directory of the
 * statements that it writes. Throws `invalid` for one that has no command.
 */
export function scannerEdge(
  { reference, config, platform, parameters }: Scanner,
  { core, extras }: ScanTargets,
  name: string,
): Edge {
  const { Entrypoint = [], Cmd = [], Env = [], WorkingDir } = readImage(config).config;
  const args = [...Entrypoint, ...Cmd];
  if (args.length === 0) throw invalid(`scanner ${reference} does not have cmd`);
  const scanner = imageEdge(reference, {
    platform,
    mode: 'default',
    metadata: { name: `scanner ${reference}` },
  });
  const inputs = [scanner];
  const given = (dest: string, edge: Edge | undefined): ExecMount => {
    const mount = { type: 'bind', dest, readonly: true } as const;
    return edge ? { ...mount, input: inputs.push(edge) - 1 } : mount;
  };
  const environment = [
    `BUILDKIT_SCAN_DESTINATION=${DESTINATION}`,
    `BUILDKIT_SCAN_SOURCE=${SOURCES}/core/${CORE}`,
    ...(extras.size > 0 ? [`BUILDKIT_SCAN_SOURCE_EXTRAS=${SOURCES}/extras/`] : []),
    ...Object.entries(parameters).map(([key, value]) => `BUILDKIT_SCAN_${key}=${value}`),
  ];
  const mounts: ExecMount[] = [
    { type: 'bind', dest: '/', input: 0, output: 0 },
    { type: 'tmpfs', dest: '/tmp' },
    given(`${SOURCES}/core/${CORE}`, core),
    ...[...extras].map(([extra, edge]) => given(`${SOURCES}/extras/${CORE}-${extra}`, edge)),
    { type: 'bind', dest: DESTINATION, output: 1 },
  ];
  const op = {
    kind: 'exec',
    args,
    env: [...Env, ...environment],
    cwd: WorkingDir || '/',
    user: '',
    network: 'default',
    security: 'sandbox',
    mounts,
  } as const;
  const metadata = { name: `[${name}] generating sbom using ${reference}` };
  return { vertex: vertex(op, inputs, { platform, metadata }), output: 1 };
}

/** A file that a scanner wrote: an in-toto statement about packages. Throws `invalid` for anything else. */
export function readStatement(filename: string, bytes: Uint8Array): Attestation {
  let statement: unknown;
  try {
    statement = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw invalid(`cannot decode in-toto statement ${filename}`, { cause });
  }
  const { predicateType, predicate } = Object(statement) as Record<string, unknown>;
  if (predicateType !== SPDX_PREDICATE) {
    throw invalid(`bundle entry ${filename} does not match required predicate type ${SPDX_PREDICATE}`);
  }
  return {
    predicateType: SPDX_PREDICATE,
    filename,
    predicate: Object(predicate) as object,
    inlineOnly: false,
  };
}
