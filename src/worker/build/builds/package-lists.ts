import { hostPlatform } from '#oci/platform.ts';
import type { Attestation } from '../attest/attestation.ts';
import type { SbomOptions } from '../attest/attestation-options.ts';
import type { FoundPackages } from '../attest/sbom/find-packages.ts';
import { readStatement, type ScanTargets, scannerEdge } from '../attest/sbom/scanner.ts';
import { spdxOf } from '../attest/sbom/spdx.ts';
import type { Bridge } from '../frontend/frontend.ts';
import { fullReference, hasDigest } from '../frontend/inputs/full-reference.ts';
import type { Ref } from '../solve/ref.ts';

/** What package managers have installed in a file system. */
export type PackageScan = (ref: Ref, options: { signal: AbortSignal }) => Promise<FoundPackages>;

type ScanBridge = Pick<Bridge, 'resolveImage' | 'solve' | 'readDirectory' | 'readFile' | 'signal'>;

const CREATOR = 'slipway';

/**
 * Lists of the packages in a result, and in what was used to make it as far as its Dockerfile asks for that: made here,
 * from what package managers write down, or by a scanner that somebody names. The result's own is the first.
 */
export class PackageLists {
  readonly #bridge: ScanBridge;
  readonly #scan: PackageScan;

  constructor({ bridge, scan }: { bridge: ScanBridge; scan: PackageScan }) {
    this.#bridge = bridge;
    this.#scan = scan;
  }

  /** `platform`: as progress shows it. */
  async of(
    targets: ScanTargets,
    { generator, parameters }: SbomOptions,
    { created, platform }: { created: Date; platform: string },
  ): Promise<Attestation[]> {
    if (generator !== undefined) return this.#generated(targets, generator, parameters, platform);
    const lists: Attestation[] = [];
    const named = [['sbom', targets.core] as const, ...[...targets.extras].map(asExtra)];
    for (const [name, edge] of named) {
      if (!edge) continue;
      const found = await this.#scan(await this.#bridge.solve(edge), { signal: this.#bridge.signal });
      lists.push(spdxOf(found, { name, created, creator: CREATOR }));
    }
    return lists;
  }

  async #generated(
    targets: ScanTargets,
    generator: string,
    parameters: SbomOptions['parameters'],
    shown: string,
  ): Promise<Attestation[]> {
    const platform = hostPlatform();
    const asked = fullReference(generator);
    const name = `[internal] load metadata for ${asked}`;
    const image = await this.#bridge.resolveImage(asked, { platform, mode: 'default', name });
    const { reference, config, digest } = image;
    const pinned = hasDigest(reference) ? reference : `${reference}@${digest}`;
    const edge = scannerEdge({ reference: pinned, config, platform, parameters }, targets, shown);
    const ref = await this.#bridge.solve(edge);
    const statements: Attestation[] = [];
    for (const { path } of await this.#bridge.readDirectory(ref, '/')) {
      statements.push(readStatement(path, await this.#bridge.readFile(ref, path)));
    }
    return statements;
  }
}

function asExtra<T>([name, edge]: readonly [string, T]): readonly [string, T] {
  return [`sbom-${name}`, edge];
}
