import { PackageURL } from 'packageurl-js';
import { digestOf, hexOf } from '#oci/digest.ts';
import type { Attestation } from '../attestation.ts';
import type { FoundPackages } from './find-packages.ts';
import type { FoundPackage } from './found-package.ts';

export const SPDX_PREDICATE = 'https://spdx.dev/Document';
const DOCUMENT = 'SPDXRef-DOCUMENT';
const ROOT = 'SPDXRef-Image';

/**
 * What is in an image, as SPDX 2.3 (spdx.github.io/spdx-spec/v2.3). The same packages and the same time give the same
 * document.
 */
export function spdxOf(
  found: FoundPackages,
  { name, created, creator }: { name: string; created: Date; creator: string },
): Attestation {
  const elements = found.packages.map((one) => packageElement(one, found));
  const ids = digestOf(JSON.stringify([name, elements]));
  const document = {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: DOCUMENT,
    name,
    documentNamespace: `urn:slipway:sbom:${hexOf(ids)}`,
    creationInfo: {
      created: created.toISOString().replace(/\.\d+Z$/, 'Z'),
      creators: [`Tool: ${creator}`],
    },
    packages: [rootElement(name), ...elements],
    relationships: [
      { spdxElementId: DOCUMENT, relationshipType: 'DESCRIBES', relatedSpdxElement: ROOT },
      ...elements.map(({ SPDXID }) => ({
        spdxElementId: ROOT,
        relationshipType: 'CONTAINS',
        relatedSpdxElement: SPDXID,
      })),
    ],
  };
  return {
    predicateType: SPDX_PREDICATE,
    filename: `${name}.spdx.json`,
    predicate: document,
    inlineOnly: false,
  };
}

function rootElement(name: string) {
  return {
    SPDXID: ROOT,
    name,
    primaryPackagePurpose: 'CONTAINER',
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
  };
}

function packageElement(found: FoundPackage, root: FoundPackages) {
  const { type, name, version, supplier, license, path } = found;
  const id = hexOf(digestOf(JSON.stringify([type, name, version, path]))).slice(0, 16);
  return {
    SPDXID: `SPDXRef-Package-${type}-${name.replace(/[^A-Za-z0-9.-]/g, '-')}-${id}`,
    name,
    versionInfo: version,
    ...(supplier && { supplier: `Person: ${supplier.replace(/\s*<([^>]*)>.*$/, ' ($1)')}` }),
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    sourceInfo: `acquired package info from: /${path}`,
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: license && LICENSE.test(license) ? license : 'NOASSERTION',
    copyrightText: 'NOASSERTION',
    externalRefs: [
      {
        referenceCategory: 'PACKAGE-MANAGER',
        referenceType: 'purl',
        referenceLocator: purlOf(found, root),
      },
    ],
  };
}

/** One licence's identifier, or identifiers joined as SPDX does; free text is none. */
const LICENSE = /^\(?[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) \(?[A-Za-z0-9.+-]+\)?)*\)?$/;

function purlOf(
  { type, name, version, architecture }: FoundPackage,
  { distribution, distributionRelease }: FoundPackages,
): string {
  const qualifiers = {
    ...(architecture && { arch: architecture }),
    ...((type === 'deb' || type === 'apk') && distributionRelease && { distro: distributionRelease }),
  };
  const scope = /^(@[^/]+)\/(.+)$/.exec(name);
  const namespace =
    type === 'npm'
      ? scope?.[1]
      : type === 'pypi'
        ? undefined
        : (distribution ?? (type === 'deb' ? 'debian' : 'alpine'));
  const own = type === 'npm' && scope ? scope[2]! : name;
  return new PackageURL(type, namespace, own, version, qualifiers, undefined).toString();
}
