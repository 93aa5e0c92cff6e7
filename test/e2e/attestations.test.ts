import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { seedImages } from '../images/stand-ins.ts';
import { Buildkitd } from './harness/buildkitd.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

// What is stated of images, as the stock client reads it out of the registry: ours beside a real BuildKit's.

const DIGEST = 'containerimage.digest';
const CONFIG = 'containerimage.config.digest';

let slipway: Slipway;
let clients: Clients;
let real: Buildkitd;
let context: string;

beforeAll(async () => {
  slipway = await startSlipway({ buildkit: true });
  await seedImages(slipway.registry, ['busybox']);
  real = await Buildkitd.start();
  clients = createClients(`unix://${slipway.socket}`);
  await buildx('create', '--name', 'slipway', '--driver', 'remote', slipway.buildkit);
  await buildx('create', '--name', 'real', '--driver', 'remote', real.address);
  context = join(slipway.folder, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'file'), 'contents');
});
afterAll(async () => {
  clients?.[Symbol.dispose]();
  await real?.[Symbol.asyncDispose]();
  await slipway?.[Symbol.asyncDispose]();
});

async function buildx(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await clients.buildx(args);
  expect(code, `buildx ${args.join(' ')}:\n${stderr}`).toBe(0);
  return stdout;
}

// biome-ignore lint/suspicious/noExplicitAny: as deep as its specification is
async function stated(name: string, what: 'Provenance' | 'SBOM'): Promise<any> {
  return JSON.parse(await buildx('imagetools', 'inspect', name, '--format', `{{json .${what}}}`));
}

describe('provenance', () => {
  it.each([
    ['max', 'v1'],
    ['min', 'v0.2'],
  ])('of mode %s and version %s is what BuildKit states of the same build', async (mode, version) => {
    const image = `${slipway.registry}/library/busybox`;
    writeFileSync(
      join(context, 'Dockerfile'),
      `FROM ${image} AS tools
RUN --mount=type=secret,id=token --mount=type=cache,target=/cache --network=none echo ${mode} ${version} > /made
FROM scratch
ARG NAME=nobody
WORKDIR /app
COPY --from=tools --chown=0:0 /made .
COPY --chmod=640 file <<EOF /app/
inline
EOF
ENV NAME=$NAME
`,
    );
    const predicates = await Promise.all(
      ['slipway', 'real'].map(async (builder) => {
        const name = `${slipway.registry}/team/${builder}:${mode}-${version}`;
        const options = ['--build-arg', 'NAME=somebody', '--label', 'a=b', '--secret', 'id=token,env=HOME'];
        const provenance = ['--provenance', `mode=${mode},version=${version},builder-id=https://ci/1`];
        await buildx(
          'build',
          ...[
            '--builder',
            builder,
            ...options,
            ...provenance,
            '--no-cache',
            '--push',
            '--tag',
            name,
            context,
          ],
        );
        return told((await stated(name, 'Provenance')).SLSA);
      }),
    );
    expect(predicates[0]).toEqual(predicates[1]);
  });
});

interface Document {
  readonly name: string;
  readonly packages: readonly { readonly name: string }[];
}
const listed = ({ name, packages }: Document) =>
  `${name}: ${packages.map((one) => one.name).filter((one) => one !== name)}`;

const apk = (name: string) => `P:${name}\nV:1.0-r0\nA:x86_64\nL:MIT\n\n`;

describe('a list of packages', () => {
  beforeAll(() => {
    mkdirSync(join(context, 'node_modules/koa'), { recursive: true });
    writeFileSync(join(context, 'node_modules/koa/package.json'), '{"name":"koa","version":"3.0.0"}');
    writeFileSync(join(context, 'tools'), apk('compiler'));
    writeFileSync(join(context, 'app'), apk('musl'));
    const image = `${slipway.registry}/library/busybox`;
    writeFileSync(
      join(context, 'Dockerfile'),
      `ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
FROM ${image} AS tools
ARG BUILDKIT_SBOM_SCAN_STAGE=true
COPY . /context
COPY tools /lib/apk/db/installed
FROM ${image} AS other
COPY tools /lib/apk/db/installed
FROM ${image}
COPY --from=tools /bin/true /
COPY --from=other /bin/true /also
COPY app /lib/apk/db/installed
`,
    );
  });

  async function push(name: string, ...options: string[]): Promise<string> {
    const image = `${slipway.registry}/team/${name}`;
    await buildx('build', '--builder', 'slipway', ...options, '--push', '--tag', image, context);
    return image;
  }

  it('is made of the image, and of the context and the stages that its Dockerfile names', async () => {
    const image = await push('scanned', '--sbom=true');
    const { SPDX, AdditionalSPDXs } = await stated(image, 'SBOM');
    expect(listed(SPDX)).toBe('sbom: musl');
    expect(AdditionalSPDXs.map(listed).sort()).toEqual(['sbom-context: koa', 'sbom-tools: compiler,koa']);
    const { manifests } = JSON.parse(await buildx('imagetools', 'inspect', '--raw', image));
    const [built, attestation] = manifests.map(({ digest }: { digest: string }) => digest);
    const referrers = await fetch(`http://${slipway.registry}/v2/team/scanned/referrers/${built}`);
    expect(await referrers.json()).toMatchObject({ manifests: [{ digest: attestation }] });
  });

  it('is beside files, too', async () => {
    const dest = join(slipway.folder, 'files');
    const output = `type=local,dest=${dest}`;
    await buildx('build', '--builder', 'slipway', '--sbom=true', '--output', output, context);
    const names = readdirSync(dest).filter((name) => name.endsWith('.json'));
    expect(names.sort()).toEqual(
      expect.arrayContaining(['sbom-context.spdx.json', 'sbom-tools.spdx.json', 'sbom.spdx.json']),
    );
  });

  it('is made by the scanner that is asked for', async () => {
    const scanner = `${slipway.registry}/team/scanner`;
    const script = `FROM ${slipway.registry}/library/busybox
COPY <<'SCRIPT' /scan
set -e
cd "$BUILDKIT_SCAN_SOURCE_EXTRAS"
for list in "$BUILDKIT_SCAN_SOURCE" *; do
  name=$(basename $list)
  echo '{"predicateType":"https://spdx.dev/Document","predicate":{"name":"'$name by $BUILDKIT_SCAN_WHO'","packages":[]}}' \
    > $BUILDKIT_SCAN_DESTINATION$name.spdx.json
done
SCRIPT
CMD ["sh", "/scan"]
`;
    const built = await clients.buildx(['build', '--builder', 'slipway', '--push', '--tag', scanner, '-'], {
      input: script,
    });
    expect(built.code, built.stderr).toBe(0);
    const { SPDX, AdditionalSPDXs } = await stated(
      await push('generated', '--attest', `type=sbom,generator=${scanner},WHO=me`),
      'SBOM',
    );
    const names = [SPDX, ...AdditionalSPDXs].map(({ name }: Document) => name).sort();
    expect(names).toEqual(['sbom by me', 'sbom-context by me', 'sbom-tools by me']);
  });
});

describe('an image that is kept by the engine', () => {
  it('has its statements, which `docker push` sends, until it is built without', async () => {
    const name = `${slipway.registry}/team/kept:1`;
    writeFileSync(
      join(context, 'Dockerfile'),
      `FROM ${slipway.registry}/library/busybox\nCOPY packages /lib/apk/db/installed\nCMD ["echo", "kept"]\n`,
    );
    writeFileSync(join(context, 'packages'), apk('musl'));
    const file = join(slipway.folder, 'metadata.json');
    const build = async (...options: string[]) => {
      await buildx(
        'build',
        ...['--builder', 'default', '--metadata-file', file],
        ...options,
        '--tag',
        name,
        context,
      );
      const { [DIGEST]: root, [CONFIG]: id } = JSON.parse(readFileSync(file, 'utf8')) as Record<
        string,
        string
      >;
      return { root: root!, id: id! };
    };
    const { root, id } = await build('--provenance=mode=max', '--sbom=true');
    const inspected = (reference: string) => slipway.dockerOk('inspect', '--format', '{{.Id}}', reference);
    expect([await inspected(name), await inspected(root), root === id]).toEqual([id, id, false]);
    expect(await slipway.dockerOk('run', '--rm', root)).toBe('kept');
    expect(await slipway.dockerOk('push', name)).toContain(`1: digest: ${root} `);
    const { SLSA } = await stated(name, 'Provenance');
    expect(SLSA.buildDefinition.buildType).toContain('buildkit');
    expect(listed((await stated(name, 'SBOM')).SPDX)).toBe('sbom: musl');
    await slipway.dockerOk('rmi', name);
    expect((await slipway.docker(['inspect', root])).code).toBe(1);
    await slipway.dockerOk('pull', name);
    expect(await inspected(name)).toBe(id);
    const again = await build('--provenance=mode=max', '--sbom=true');
    const other = name.replace(':1', ':2');
    await slipway.dockerOk('tag', name, other);
    const plain = await build('--provenance=false');
    expect([plain.id, again.id, again.root === root]).toEqual([id, id, false]);
    expect(await slipway.dockerOk('push', name)).toContain(`1: digest: ${plain.root} `);
    expect(await stated(name, 'Provenance')).toEqual({});
    expect(await slipway.dockerOk('push', other)).toContain(`2: digest: ${again.root} `);
    expect(await inspected(again.root)).toBe(id);
  });
});

/** Without times, and what is another each time: names of builds, digests of what was made. */
function told(predicate: object): unknown {
  const text = JSON.stringify(predicate, (name, value: unknown) => {
    // BuildKit 0.25 has it as `invocationID`, newer ones as the specification has it.
    if (name === 'metadata' && 'invocationID' in Object(value))
      return renamed(value as { invocationID: string });
    if (/^(?:invocationId|buildInvocationID|\w*(?:[sS]tarted|[fF]inished)On)$/.test(name))
      return typeof value;
    if (name === 'digestMapping') return Object.values(value as object).sort();
    if (name === 'dockerfileVersion') return undefined;
    // Of no line.
    if (name === 'locations' && !Array.isArray(value)) return withoutEmpty(value as object);
    if (name === 'layers') return shapes(value as Record<string, readonly (readonly object[])[]>);
    return value;
  });
  return JSON.parse(text);
}

function shapes(layers: Readonly<Record<string, readonly (readonly object[])[]>>) {
  return Object.entries(layers).map(([outcome, chains]) => [outcome, chains.map((chain) => chain.length)]);
}

function renamed({ invocationID: invocationId, ...rest }: { invocationID: string }) {
  return { ...rest, invocationId };
}

function withoutEmpty(members: object) {
  return Object.fromEntries(Object.entries(members).filter(([, member]) => Object.keys(member).length > 0));
}
