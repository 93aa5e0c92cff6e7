import { notFound } from '#errors/errors.ts';
import { digestOf } from '#oci/digest.ts';
import type { ImageConfig, RunConfig } from '#oci/image-config.ts';
import { formatPlatform } from '#oci/platform.ts';
import { DockerfileFrontend } from '#worker/build/frontend/dockerfile-frontend.ts';
import type { Bridge, FileStat, FrontendResult } from '#worker/build/frontend/frontend.ts';
import type { SourceOp } from '#worker/build/llb/op.ts';
import type { Edge, Vertex } from '#worker/build/llb/vertex.ts';
import type { Ref } from '#worker/build/solve/ref.ts';

export interface FakeBuild {
  /** The client's; undefined: it has none, or `files` has it. */
  readonly dockerfile?: string;
  readonly options?: Readonly<Record<string, string>>;
  readonly inputs?: Readonly<Record<string, Edge>>;
  /** Files of the client's directories, by `directory/path`. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** When the files of a source were changed, by its identifier: seconds; 0 without. */
  readonly times?: Readonly<Record<string, number>>;
  /** By full name; `busybox` is there anyway. */
  readonly images?: Readonly<Record<string, FakeImage>>;
}

export interface FakeImage {
  readonly config?: RunConfig;
  readonly platform?: string;
  readonly empty?: boolean;
}

export interface FakeResult extends FrontendResult {
  readonly warnings: readonly string[];
  /** What was asked of the bridge, in order. */
  readonly solved: readonly Vertex[];
  readonly resolved: readonly {
    reference: string;
    platform: string;
    name: string;
    mode: string;
    store?: string;
  }[];
}

const DIGEST = digestOf('an image');
const BUSYBOX: FakeImage = { config: { Env: ['PATH=/bin'], Cmd: ['sh'] } };

/** Runs the frontend with a client that has these files and a registry that has these images. */
export async function build(fake: FakeBuild): Promise<FakeResult> {
  const warnings: string[] = [];
  const solved: Vertex[] = [];
  const resolved: FakeResult['resolved'][number][] = [];
  const bridge: Partial<Bridge> = {
    session: { id: 'the-session' } as Bridge['session'],
    signal: new AbortController().signal,
    solve: async ({ vertex }) => {
      solved.push(vertex);
      return { kind: 'directory', root: identifierOf(vertex), id: vertex.digest };
    },
    readFile: async (ref, path) => {
      const bytes = readFile(fake, ref, path);
      if (bytes === undefined) throw notFound(`open ${path}: no such file or directory`);
      return Buffer.from(bytes);
    },
    readDirectory: async (ref) => {
      const seconds = fake.times?.[ref.kind === 'directory' ? ref.root : ''] ?? 0;
      return [{ path: 'a', modTime: BigInt(seconds) * 1_000_000_000n } as FileStat];
    },
    resolveImage: async (reference, { platform, name, mode, store }) => {
      resolved.push({ reference, platform: formatPlatform(platform), name, mode, ...(store && { store }) });
      const known: Readonly<Record<string, FakeImage>> = {
        'docker.io/library/busybox:latest': BUSYBOX,
        ...fake.images,
      };
      const image = known[reference];
      if (!image) throw notFound(`${reference}: not found`);
      const pinned = reference.includes('@') ? reference : `${reference}@${DIGEST}`;
      return { reference: pinned, digest: DIGEST, config: configOf(image, formatPlatform(platform)) };
    },
    warn: (warning) => void warnings.push(warning.short),
  };
  const frontend = new DockerfileFrontend({ platform: { os: 'linux', architecture: 'amd64' } });
  const request = { options: fake.options ?? {}, inputs: fake.inputs ?? {} };
  const result = await frontend.solve(request, bridge as Bridge);
  return { ...result, warnings, solved, resolved };
}

function readFile(fake: FakeBuild, ref: Ref, path: string): string | Uint8Array | undefined {
  const root = ref.kind === 'directory' ? ref.root : '';
  const isDockerfile = root === 'local://dockerfile' && path === (fake.options?.filename ?? 'Dockerfile');
  const own = isDockerfile ? fake.dockerfile : undefined;
  return own ?? fake.files?.[`${root.replace('local://', '')}/${path}`];
}

function identifierOf(vertex: Vertex): string {
  return vertex.op.kind === 'source' ? (vertex.op as SourceOp).identifier : vertex.op.kind;
}

function configOf({ config = {}, platform, empty }: FakeImage, asked: string): Uint8Array {
  const [os = 'linux', architecture = 'amd64', variant] = (platform ?? asked).split('/');
  const image: ImageConfig = {
    os,
    architecture,
    ...(variant && { variant }),
    created: '2020-01-02T03:04:05Z',
    config,
    rootfs: { type: 'layers', diff_ids: empty ? [] : [DIGEST] },
    history: empty ? [] : [{ created: '2020-01-02T03:04:05Z', created_by: 'the base' }],
  };
  return Buffer.from(JSON.stringify(image));
}
