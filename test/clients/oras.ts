import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Trip } from './world.ts';

const plain = '--plain-http';

export const oras: Trip = {
  title: 'oras',
  clients: ['oras'],
  steps: {
    async 'push and pull files'({ run, registry, folder }) {
      writeFileSync(join(folder, 'file.txt'), 'of any kind');
      await run('oras', 'push', plain, `${registry}/oras/app:v1`, 'file.txt:text/plain');
      await run('oras', 'pull', plain, '--output', 'pulled', `${registry}/oras/app:v1`);
      assert.equal(readFileSync(join(folder, 'pulled/file.txt'), 'utf8'), 'of any kind');
    },
    async 'attach and discover'({ run, registry, folder }) {
      writeFileSync(join(folder, 'sbom.json'), '{}');
      await run(
        'oras',
        'attach',
        plain,
        '--artifact-type',
        'application/x.sbom',
        `${registry}/oras/app:v1`,
        'sbom.json',
      );
      const found = await run('oras', 'discover', plain, '--format', 'json', `${registry}/oras/app:v1`);
      const { manifests } = JSON.parse(found) as { manifests: { artifactType: string }[] };
      assert.deepEqual(
        manifests.map(({ artifactType }) => artifactType),
        ['application/x.sbom'],
      );
    },
    async 'copy with what refers to it'({ run, registry }) {
      const [from, to] = [`${registry}/oras/app:v1`, `${registry}/oras/copy:v1`];
      await run('oras', 'copy', '--from-plain-http', '--to-plain-http', '--recursive', from, to);
      assert.match(await run('oras', 'discover', plain, to), /application\/x\.sbom/);
    },
    async 'tag and list'({ run, registry }) {
      await run('oras', 'tag', plain, `${registry}/oras/app:v1`, 'v2', 'v3');
      assert.equal(await run('oras', 'repo', 'tags', plain, `${registry}/oras/app`), 'v1\nv2\nv3');
      assert.match(await run('oras', 'repo', 'ls', plain, registry), /^oras\/app$/m);
    },
    async delete({ run, registry, digestOf }) {
      await run('oras', 'manifest', 'delete', plain, '--force', `${registry}/oras/copy:v1`);
      assert.equal(await digestOf('oras/copy', 'v1'), undefined);
    },
  },
};
