/** A package that a file system has installed. */
export interface FoundPackage {
  readonly type: 'deb' | 'apk' | 'npm' | 'pypi';
  readonly name: string;
  readonly version: string;
  readonly architecture?: string;
  /** As the package itself says it; often no SPDX expression. */
  readonly license?: string;
  /** Of whom it is: `Name <address>`. */
  readonly supplier?: string;
  /** The file that says so. */
  readonly path: string;
}
