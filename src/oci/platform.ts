import { invalid } from '#errors/errors.ts';

/** OCI image-spec, image-index.md, `platform`: Go's GOOS and GOARCH, and an optional CPU variant. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly 'os.version'?: string;
  readonly 'os.features'?: readonly string[];
}

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  ia32: '386',
  arm: 'arm',
};
const ALIASES: Readonly<Record<string, [architecture: string, variant?: string]>> = {
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  aarch64: ['arm64'],
  i386: ['386'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};

const SYSTEMS: readonly string[] = ['linux', 'windows', 'darwin', 'freebsd'];
const KNOWN_ARCHITECTURES: readonly string[] = [
  ...['386', 'amd64', 'arm', 'arm64', 'loong64', 'mips64le', 'ppc64le', 'riscv64', 's390x'],
];

const COMPONENT_TEXT = '^[A-Za-z0-9_.-]+$';
const COMPONENT = new RegExp(COMPONENT_TEXT);
/** `windows(10.0.20348)`, too. */
const OPERATING_SYSTEM = /^([A-Za-z0-9_.-]+)(?:\(([A-Za-z0-9_.-]*)\))?$/;

/** The platform of the process that asks. */
export function hostPlatform(): Platform {
  return { os: 'linux', architecture: ARCHITECTURES[process.arch] ?? process.arch };
}

/** `os[(version)][/architecture[/variant]]` or an architecture alone, as `docker --platform` takes it. */
export function parsePlatform(text: string): Platform {
  const parts = text.trim().toLowerCase().split('/');
  if (parts.length > 3) throw invalid(`${JSON.stringify(text)} is an invalid platform specifier`);
  const wrong = parts.find((part, at) => !(at === 0 ? OPERATING_SYSTEM : COMPONENT).test(part));
  if (wrong !== undefined) {
    const names = `${JSON.stringify(wrong)} is an invalid component of ${JSON.stringify(text)}`;
    throw invalid(
      `${names}: platform specifier component must match ${JSON.stringify(COMPONENT_TEXT)}: invalid argument`,
    );
  }
  const [written = '', second, third] = parts;
  const [, first = '', version] = OPERATING_SYSTEM.exec(written)!;
  if (second === undefined && !SYSTEMS.includes(first)) {
    const platform = normalize('linux', written);
    if (KNOWN_ARCHITECTURES.includes(platform.architecture)) return platform;
    throw invalid(`${JSON.stringify(text)}: unknown operating system or architecture: invalid argument`);
  }
  const platform = normalize(first, second ?? hostPlatform().architecture, third);
  return version ? { ...platform, 'os.version': version } : platform;
}

export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/');
}

/** Whether content for `candidate` is what `wanted` asks for; a missing variant on either side matches any. */
export function platformMatches(wanted: Platform, candidate: Platform): boolean {
  if (wanted.os !== candidate.os || wanted.architecture !== candidate.architecture) return false;
  return !wanted.variant || !candidate.variant || wanted.variant === candidate.variant;
}

function normalize(os: string, architecture: string, variant?: string): Platform {
  const [name, impliedVariant] = ALIASES[architecture] ?? [architecture];
  // arm64's only variant is v8, and writing it or not means the same.
  const chosen = name === 'arm64' && variant === 'v8' ? undefined : (variant ?? impliedVariant);
  return chosen === undefined ? { os, architecture: name } : { os, architecture: name, variant: chosen };
}
