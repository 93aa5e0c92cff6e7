import { describe, expect, it } from 'vitest';
import type { Descriptor } from '#oci/descriptor.ts';
import { type Digest, digestOf } from '#oci/digest.ts';
import { MEDIA_TYPE } from '#oci/media-type.ts';
import { type Platform, parsePlatform } from '#oci/platform.ts';
import { selectManifest } from '#worker/images/pull/platform-selection.ts';

const manifest = (name: string, platform?: Platform, more: Partial<Descriptor> = {}): Descriptor => ({
  mediaType: MEDIA_TYPE.ociManifest,
  digest: digestOf(name) as Digest,
  size: 1,
  ...(platform && { platform }),
  annotations: { name },
  ...more,
});
const linux = (architecture: string, variant?: string): Platform => ({
  os: 'linux',
  architecture,
  ...(variant && { variant }),
});
const choose = (wanted: string, ...manifests: Descriptor[]) =>
  selectManifest(manifests, parsePlatform(wanted)).annotations?.name;

describe('of an index, the manifest is taken', () => {
  it('that has the platform', () => {
    const all = [
      manifest('arm', linux('arm64', 'v8')),
      manifest('amd', linux('amd64')),
      manifest('win', { os: 'windows', architecture: 'amd64' }),
    ];
    expect(choose('linux/amd64', ...all)).toBe('amd');
    expect(choose('linux/arm64', ...all)).toBe('arm');
    expect(() => choose('linux/s390x', ...all)).toThrow(
      'no matching manifest for linux/s390x in the manifest list entries',
    );
  });

  it('that has the variant, else the best one below it', () => {
    const all = [
      manifest('v5', linux('arm', 'v5')),
      manifest('v7', linux('arm', 'v7')),
      manifest('v6', linux('arm', 'v6')),
    ];
    expect(choose('linux/arm/v7', ...all)).toBe('v7');
    expect(choose('linux/arm/v7', all[0]!, all[2]!)).toBe('v6');
    expect(() => choose('linux/arm/v5', all[1]!)).toThrow('no matching manifest');
  });

  it('that runs everywhere when no variant is wanted', () => {
    expect(
      choose('linux/amd64', manifest('v3', linux('amd64', 'v3')), manifest('plain', linux('amd64'))),
    ).toBe('plain');
    expect(
      choose('linux/amd64', manifest('v3', linux('amd64', 'v3')), manifest('v2', linux('amd64', 'v2'))),
    ).toBe('v2');
  });

  it('that is an image, not an attestation or an artifact', () => {
    const attestation = { annotations: { name: 'no', 'vnd.docker.reference.type': 'attestation-manifest' } };
    const all = [
      manifest('attestation', linux('amd64'), attestation),
      manifest('artifact', linux('amd64'), { mediaType: 'application/vnd.example+json' }),
      manifest('image', linux('amd64')),
    ];
    expect(choose('linux/amd64', ...all)).toBe('image');
  });
});

describe('versions of Windows', () => {
  it('are part of a platform, and have to be those that are asked for', () => {
    const versions = ['10.0.17763', '10.0.20348'];
    const platforms = versions.map((version) => parsePlatform(`windows(${version})/amd64`));
    expect(platforms[0]).toEqual({ os: 'windows', architecture: 'amd64', 'os.version': '10.0.17763' });
    const manifests = platforms.map((platform, at) => manifest(String(at), platform));
    for (const [at, platform] of platforms.entries()) {
      expect(selectManifest(manifests, platform)).toBe(manifests[at]);
    }
    expect(() => selectManifest(manifests, parsePlatform('windows(1.2)/amd64'))).toThrow(
      'no matching manifest',
    );
    expect(() => parsePlatform('linux/amd64(1)')).toThrow('invalid component');
  });
});
