import type { Attestation } from '../attest/attestation.ts';
import type { AttestationOptions } from '../attest/attestation-options.ts';
import { provenanceOf } from '../attest/provenance.ts';
import type { FoundPackages } from '../attest/sbom/find-packages.ts';
import { spdxOf } from '../attest/sbom/spdx.ts';
import type { FrontendResult } from '../frontend/frontend.ts';
import type { Edge, Vertex } from '../llb/vertex.ts';
import type { Ref } from '../solve/ref.ts';

/** What package managers have installed in a file system. */
export type PackageScan = (ref: Ref, options: { signal: AbortSignal }) => Promise<FoundPackages>;

export interface AttestedBuild {
  readonly ref: string;
  readonly frontend: string;
  readonly frontendOptions: Readonly<Record<string, string>>;
  /** What the frontend has looked at. */
  readonly consulted?: readonly Edge[];
  readonly startedAt: Date;
  /** What a source was found to be. */
  readonly resolved: (vertex: Vertex) => string | undefined;
  readonly signal: AbortSignal;
}

const CREATOR = 'slipway';

/** What is stated of each platform's outcome: how it was made, and what is in it, as far as was asked for. */
export async function attestationsOf(
  result: FrontendResult,
  refs: ReadonlyMap<string, Ref | undefined>,
  build: AttestedBuild,
  { provenance, sbom }: AttestationOptions,
  packages: PackageScan,
): Promise<Map<string, Attestation[]>> {
  const finishedAt = new Date();
  const attestations = new Map<string, Attestation[]>();
  for (const [platform, edge] of result.refs) {
    const stated: Attestation[] = [];
    const ref = refs.get(platform);
    if (sbom && ref) {
      const found = await packages(ref, { signal: build.signal });
      const created = sourceDate(build.frontendOptions) ?? build.startedAt;
      stated.push(spdxOf(found, { name: 'sbom', created, creator: CREATOR }));
    }
    if (provenance)
      stated.push(provenanceOf({ ...build, edge, invocationId: build.ref, finishedAt }, provenance));
    if (stated.length > 0) attestations.set(platform, stated);
  }
  return attestations;
}

function sourceDate(options: Readonly<Record<string, string>>): Date | undefined {
  const epoch = options['build-arg:SOURCE_DATE_EPOCH'];
  return epoch !== undefined && /^\d+$/.test(epoch) ? new Date(Number(epoch) * 1000) : undefined;
}
