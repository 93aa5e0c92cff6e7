import { formatPlatform, hostPlatform } from '#oci/platform.ts';
import type { Attestation } from '../attest/attestation.ts';
import type { AttestationOptions } from '../attest/attestation-options.ts';
import type { KnownSources } from '../attest/dependencies.ts';
import type { OutcomeLayers } from '../attest/graph-metadata.ts';
import type { TellGraph } from '../attest/graph-words.ts';
import { provenanceOf } from '../attest/provenance.ts';
import type { FrontendResult } from '../frontend/frontend.ts';
import type { Edge } from '../llb/vertex.ts';
import type { PackageLists } from './package-lists.ts';

export interface AttestedBuild extends KnownSources {
  readonly ref: string;
  readonly frontend: string;
  readonly frontendOptions: Readonly<Record<string, string>>;
  /** What the frontend has looked at. */
  readonly consulted: readonly Edge[];
  readonly startedAt: Date;
  readonly tell: TellGraph;
  readonly layers: (edge: Edge) => Promise<OutcomeLayers>;
  readonly signal: AbortSignal;
}

/** What is stated of each platform's outcome: how it was made, and what is in it, as far as was asked for. */
export async function attestationsOf(
  { extras = new Map(), ...result }: FrontendResult,
  build: AttestedBuild,
  { provenance, sbom }: AttestationOptions,
  lists: PackageLists,
): Promise<Map<string, Attestation[]>> {
  const finishedAt = new Date();
  const attestations = new Map<string, Attestation[]>();
  for (const [platform, edge] of result.refs) {
    const stated: Attestation[] = [];
    if (sbom && edge) {
      const created = sourceDate(build.frontendOptions) ?? build.startedAt;
      const targets = { core: edge, extras: extras.get(platform) ?? new Map() };
      const shown = platform || formatPlatform(hostPlatform());
      stated.push(...(await lists.of(targets, sbom, { created, platform: shown })));
    }
    if (provenance) {
      const { ref: invocationId, layers: find, ...facts } = build;
      const consulted = lookedAt(result, build.consulted);
      const layers = edge && provenance.mode === 'max' ? { layers: await find(edge) } : {};
      stated.push(
        provenanceOf({ ...facts, edge, consulted, invocationId, finishedAt, ...layers }, provenance),
      );
    }
    if (stated.length > 0) attestations.set(platform, stated);
  }
  return attestations;
}

/** What of a graph was looked at on the way. Results of other platforms are not this one's business. */
export function lookedAt(result: FrontendResult, consulted: readonly Edge[]): Edge[] {
  const results = new Set([...result.refs.values()].map((edge) => edge?.vertex.digest));
  return consulted.filter(({ vertex }) => !results.has(vertex.digest));
}

function sourceDate(options: Readonly<Record<string, string>>): Date | undefined {
  const epoch = options['build-arg:SOURCE_DATE_EPOCH'];
  return epoch !== undefined && /^\d+$/.test(epoch) ? new Date(Number(epoch) * 1000) : undefined;
}
