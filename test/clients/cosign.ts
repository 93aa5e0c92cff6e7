import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientName } from './install.ts';
import type { Trip, World } from './world.ts';

const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const sign = ['--yes', '--key', 'cosign.key', '--tlog-upload=false'];
const verify = ['--key', 'cosign.pub', '--insecure-ignore-tlog'];
const image = ({ registry, digest }: World, name: string) => `${registry}/${name}@${digest}`;

/** An image to sign, and a key of one's own to sign it with. */
async function prepare(world: World, client: ClientName, name: string): Promise<void> {
  const { run, registry, layout, folder } = world;
  await run('crane', 'push', layout, `${registry}/${name}:v1`);
  await run(client, 'generate-key-pair');
  writeFileSync(join(folder, 'predicate.json'), '{"tested":true}');
}

async function tags({ run, registry }: World, name: string): Promise<string[]> {
  return (await run('crane', 'ls', `${registry}/${name}`)).split('\n');
}

async function referrers({ registry, digest }: World, name: string): Promise<(string | undefined)[]> {
  const answer = await fetch(`http://${registry}/v2/${name}/referrers/${digest}`);
  const { manifests } = (await answer.json()) as { manifests: { artifactType?: string }[] };
  return manifests.map(({ artifactType }) => artifactType);
}

/** Signatures as images under tags made of the digest, which is how they are kept by default. */
export const cosignTags: Trip = {
  title: 'cosign 2',
  clients: ['cosign', 'crane'],
  steps: {
    async 'sign and verify'(world) {
      await prepare(world, 'cosign', 'cosign/old');
      await world.run('cosign', 'sign', ...sign, image(world, 'cosign/old'));
      const found = await world.run('cosign', 'verify', ...verify, image(world, 'cosign/old'));
      assert.ok(found.includes(world.digest));
      assert.ok((await tags(world, 'cosign/old')).includes(`${world.digest.replace(':', '-')}.sig`));
    },
    async 'attach an SBOM'(world) {
      await world.run('cosign', 'attach', 'sbom', '--sbom', 'predicate.json', image(world, 'cosign/old'));
      assert.ok((await tags(world, 'cosign/old')).includes(`${world.digest.replace(':', '-')}.sbom`));
    },
    async 'attest and verify'(world) {
      await world.run(
        'cosign',
        'attest',
        ...sign,
        '--predicate',
        'predicate.json',
        image(world, 'cosign/old'),
      );
      await world.run('cosign', 'verify-attestation', ...verify, image(world, 'cosign/old'));
    },
    async 'attach a signature that was made elsewhere'(world) {
      await world.run('crane', 'copy', image(world, 'cosign/old'), `${world.registry}/cosign/attached:v1`);
      const payload = await world.run('cosign', 'generate', image(world, 'cosign/attached'));
      writeFileSync(join(world.folder, 'payload.json'), payload);
      await world.run('cosign', 'sign-blob', ...sign, '--output-signature', 'signature', 'payload.json');
      const parts = ['--payload', 'payload.json', '--signature', 'signature'];
      await world.run('cosign', 'attach', 'signature', ...parts, image(world, 'cosign/attached'));
      await world.run('cosign', 'verify', ...verify, image(world, 'cosign/attached'));
    },
    async 'copy with signatures, and clean'(world) {
      await world.run('cosign', 'copy', image(world, 'cosign/old'), `${world.registry}/cosign/copy:v1`);
      await world.run('cosign', 'verify', ...verify, image(world, 'cosign/copy'));
      await world.run('cosign', 'clean', '--force', image(world, 'cosign/copy'));
      const left = await tags(world, 'cosign/copy');
      assert.ok(!left.some((tag) => /\.(?:sig|att|sbom)$/.test(tag)));
    },
  },
};

/** Signatures as manifests with a subject, in the format of bundles: what cosign 3 does by default. */
export const cosignBundles: Trip = {
  title: 'cosign 3',
  clients: ['cosign3', 'crane'],
  steps: {
    async 'sign and verify'(world) {
      await prepare(world, 'cosign3', 'cosign/new');
      await world.run('cosign3', 'sign', ...sign, '--use-signing-config=false', image(world, 'cosign/new'));
      await world.run('cosign3', 'verify', ...verify, image(world, 'cosign/new'));
      assert.deepEqual(await referrers(world, 'cosign/new'), [BUNDLE]);
      assert.deepEqual(await tags(world, 'cosign/new'), ['v1']);
    },
    async 'attest and verify'(world) {
      const more = ['--use-signing-config=false', '--type', 'custom', '--predicate', 'predicate.json'];
      await world.run('cosign3', 'attest', ...sign, ...more, image(world, 'cosign/new'));
      await world.run(
        'cosign3',
        'verify-attestation',
        '--type',
        'custom',
        ...verify,
        image(world, 'cosign/new'),
      );
      assert.deepEqual(await referrers(world, 'cosign/new'), [BUNDLE, BUNDLE]);
    },
    async 'find everything that belongs to it'(world) {
      const tree = await world.run('cosign3', 'tree', image(world, 'cosign/new'));
      assert.match(tree, /sigstore\.dev\/cosign\/sign\/v1/);
    },
  },
};
