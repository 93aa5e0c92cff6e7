import { paragraphsOf } from './control-file.ts';
import type { FoundPackage } from './found-package.ts';

/** A file that says which packages are installed, by its place. */
export interface PackageDatabase {
  /** `path` is relative to the root of the file system. */
  matches(path: string): boolean;
  packages(text: string, path: string): Iterable<FoundPackage>;
}

export const PACKAGE_DATABASES: readonly PackageDatabase[] = [
  {
    // Images without a package manager have a file for each package.
    matches: (path) =>
      path === 'var/lib/dpkg/status' || /^var\/lib\/dpkg\/status\.d\/(?!.*\.md5sums$)[^/]+$/.test(path),
    packages: debianPackages,
  },
  {
    matches: (path) => path === 'lib/apk/db/installed' || path === 'usr/lib/apk/db/installed',
    packages: alpinePackages,
  },
  {
    matches: (path) => /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/@][^/]*\/package\.json$/.test(path),
    packages: nodePackage,
  },
  {
    matches: (path) => /\.(?:dist-info\/METADATA|egg-info\/PKG-INFO|egg-info)$/.test(path),
    packages: pythonPackage,
  },
];

function* debianPackages(text: string, path: string): Generator<FoundPackage> {
  for (const fields of paragraphsOf(text)) {
    const name = fields.get('package');
    const version = fields.get('version');
    const status = fields.get('status');
    if (!name || !version || (status !== undefined && !status.endsWith(' installed'))) continue;
    yield {
      type: 'deb',
      name,
      version,
      ...optional('architecture', fields.get('architecture')),
      ...optional('supplier', fields.get('maintainer')),
      path,
    };
  }
}

/** apk-tools: one letter for a field, a blank line after each package. */
function* alpinePackages(text: string, path: string): Generator<FoundPackage> {
  for (const paragraph of text.split('\n\n')) {
    const fields = new Map<string, string>();
    for (const line of paragraph.split('\n')) {
      if (line[1] === ':' && !fields.has(line[0]!)) fields.set(line[0]!, line.slice(2));
    }
    const name = fields.get('P');
    const version = fields.get('V');
    if (!name || !version) continue;
    yield {
      type: 'apk',
      name,
      version,
      ...optional('architecture', fields.get('A')),
      ...optional('license', fields.get('L')),
      ...optional('supplier', fields.get('m')),
      path,
    };
  }
}

function* nodePackage(text: string, path: string): Generator<FoundPackage> {
  let manifest: unknown;
  try {
    manifest = JSON.parse(text);
  } catch {
    return;
  }
  const { name, version, license } = Object(manifest) as Record<string, unknown>;
  if (typeof name !== 'string' || typeof version !== 'string' || name === '' || version === '') return;
  yield {
    type: 'npm',
    name,
    version,
    ...optional('license', typeof license === 'string' ? license : undefined),
    path,
  };
}

function* pythonPackage(text: string, path: string): Generator<FoundPackage> {
  const [fields] = paragraphsOf(text);
  const name = fields?.get('name');
  const version = fields?.get('version');
  if (!fields || !name || !version) return;
  yield {
    type: 'pypi',
    name,
    version,
    ...optional('license', fields.get('license-expression') ?? fields.get('license')),
    path,
  };
}

function optional<N extends string>(name: N, value: string | undefined): { [K in N]?: string } {
  const line = value?.split('\n', 1)[0]?.trim();
  return line ? ({ [name]: line } as { [K in N]?: string }) : {};
}
