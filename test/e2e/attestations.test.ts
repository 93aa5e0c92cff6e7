import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Clients, createClients } from '../api/buildkit/clients.ts';
import { seedImages } from '../images/stand-ins.ts';
import { Buildkitd } from './harness/buildkitd.ts';
import { type Slipway, startSlipway } from './harness/slipway.ts';

// What is stated of images, as the stock client reads it out of the registry: ours beside a real BuildKit's.

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
