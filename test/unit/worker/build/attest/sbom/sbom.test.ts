import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findPackages } from '#worker/build/attest/sbom/find-packages.ts';
import { spdxOf } from '#worker/build/attest/sbom/spdx.ts';
import { DirectoryTree } from '#worker/build/files/directory-tree.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'slipway-sbom-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function found() {
  using tree = new DirectoryTree(root);
  return findPackages(tree);
}

const DPKG = `Package: libc6
Status: install ok installed
Architecture: amd64
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Version: 2.36-9
Description: GNU C Library
 Contains the standard libraries.
 .
 More.

Package: gone
Status: deinstall ok config-files
Version: 1

Package: half
Status: install ok installed
`;

describe('the packages of a root file system', () => {
  it('of Debian are those that are installed', () => {
    write('var/lib/dpkg/status', DPKG);
    write('etc/os-release', 'ID=debian\nVERSION_ID="12"\n');
    expect(found()).toEqual({
      distribution: 'debian',
      distributionRelease: 'debian-12',
      packages: [
        {
          type: 'deb',
          name: 'libc6',
          version: '2.36-9',
          architecture: 'amd64',
          supplier: 'GNU Libc Maintainers <debian-glibc@lists.debian.org>',
          path: 'var/lib/dpkg/status',
        },
      ],
    });
  });

  it('of an image without dpkg are in files of their own', () => {
    write('var/lib/dpkg/status.d/base', 'Package: base-files\nVersion: 12\n');
    write('var/lib/dpkg/status.d/base.md5sums', 'Package: nothing\nVersion: 1\n');
    expect(found().packages.map(({ name }) => name)).toEqual(['base-files']);
  });

  it('of Alpine', () => {
    write('lib/apk/db/installed', 'C:Q1\nP:musl\nV:1.2.4\nA:x86_64\nL:MIT\nF:lib\n\nP:busybox\nV:1.36\n');
    expect(found().packages).toMatchObject([
      { type: 'apk', name: 'musl', version: '1.2.4', architecture: 'x86_64', license: 'MIT' },
      { type: 'apk', name: 'busybox', version: '1.36' },
    ]);
  });

  it('of Node are those in node_modules, however deep', () => {
    write('app/package.json', '{"name":"app","version":"1.0.0"}');
    write('app/node_modules/koa/package.json', '{"name":"koa","version":"3.0.0","license":"MIT"}');
    write('app/node_modules/koa/lib/package.json', '{"name":"inner","version":"1.0.0"}');
    write('app/node_modules/@scope/a/package.json', '{"name":"@scope/a","version":"2.0.0"}');
    write('app/node_modules/koa/node_modules/b/package.json', '{"name":"b","version":"4.0.0"}');
    write('app/node_modules/broken/package.json', '{');
    const names = found().packages.map(({ name }) => name);
    expect(names.sort()).toEqual(['@scope/a', 'b', 'koa']);
  });

  it('of Python', () => {
    write(
      'usr/lib/python3/dist-packages/six-1.16.0.dist-info/METADATA',
      'Metadata-Version: 2.1\nName: six\nVersion: 1.16.0\nLicense: MIT\n\nText: x\n',
    );
    write('usr/lib/python3/dist-packages/old.egg-info', 'Name: old\nVersion: 0.1\n');
    expect(
      found()
        .packages.map(({ name, version }) => `${name} ${version}`)
        .sort(),
    ).toEqual(['old 0.1', 'six 1.16.0']);
  });

  it('are not looked for behind symbolic links', () => {
    const outside = mkdtempSync(join(tmpdir(), 'slipway-outside-'));
    try {
      writeFileSync(join(outside, 'status'), DPKG);
      mkdirSync(join(root, 'var/lib'), { recursive: true });
      symlinkSync(outside, join(root, 'var/lib/dpkg'));
      symlinkSync(outside, join(root, 'etc'));
      expect(found()).toEqual({ packages: [], distribution: undefined, distributionRelease: undefined });
    } finally {
      rmSync(outside, { recursive: true });
    }
  });
});

describe('the SPDX document', () => {
  const options = { name: 'app', created: new Date(0), creator: 'slipway-1' };

  it('says what the image contains, by package URL', () => {
    write('var/lib/dpkg/status', DPKG);
    write('etc/os-release', 'ID=debian\nVERSION_ID="12"\n');
    write(
      'app/node_modules/@scope/a/package.json',
      '{"name":"@scope/a","version":"2.0.0","license":"(MIT OR CC0-1.0)"}',
    );
    write(
      'app/node_modules/b/package.json',
      '{"name":"b","version":"2.0.0","license":"see the file LICENSE"}',
    );
    const { predicate, predicateType } = spdxOf(found(), options);
    expect(predicateType).toBe('https://spdx.dev/Document');
    const document = predicate as { packages: Record<string, unknown>[]; relationships: object[] };
    const byName = new Map(document.packages.map((one) => [one.name, one]));
    expect(byName.get('libc6')).toMatchObject({
      supplier: 'Person: GNU Libc Maintainers (debian-glibc@lists.debian.org)',
      externalRefs: [{ referenceLocator: 'pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12' }],
    });
    expect(byName.get('@scope/a')).toMatchObject({
      licenseDeclared: '(MIT OR CC0-1.0)',
      externalRefs: [{ referenceLocator: 'pkg:npm/%40scope/a@2.0.0' }],
    });
    expect(byName.get('b')).toMatchObject({ licenseDeclared: 'NOASSERTION' });
    expect(document.relationships).toHaveLength(document.packages.length);
    expect(new Set(document.packages.map(({ SPDXID }) => SPDXID)).size).toBe(document.packages.length);
  });

  it('is the same when it is made again', () => {
    write('var/lib/dpkg/status', DPKG);
    expect(spdxOf(found(), options)).toEqual(spdxOf(found(), options));
  });
});
