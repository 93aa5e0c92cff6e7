import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Trip } from './world.ts';

export const regctl: Trip = {
  title: 'regctl',
  clients: ['regctl'],
  steps: {
    async 'copy from a layout'({ run, registry, layout, digest, digestOf }) {
      await run('regctl', 'registry', 'set', '--tls', 'disabled', registry);
      await run('regctl', 'image', 'copy', `ocidir://${layout}:latest`, `${registry}/regctl/app:v1`);
      assert.equal(await digestOf('regctl/app', 'v1'), digest);
    },
    async 'put an artifact with a subject'({ run, registry, folder }) {
      writeFileSync(join(folder, 'note.txt'), 'a note');
      const about = ['--subject', `${registry}/regctl/app:v1`, '--artifact-type', 'application/x.note'];
      await run('regctl', 'artifact', 'put', ...about, '--file', 'note.txt');
      const count = ['--format', '{{len .Descriptors}}'];
      assert.equal(await run('regctl', 'artifact', 'list', `${registry}/regctl/app:v1`, ...count), '1');
      const other = ['--filter-artifact-type', 'application/x.other'];
      assert.equal(
        await run('regctl', 'artifact', 'list', `${registry}/regctl/app:v1`, ...other, ...count),
        '0',
      );
    },
    async 'copy with what refers to it'({ run, registry }) {
      await run(
        'regctl',
        'image',
        'copy',
        '--referrers',
        `${registry}/regctl/app:v1`,
        `${registry}/regctl/copy:v1`,
      );
      const tree = await run('regctl', 'artifact', 'tree', `${registry}/regctl/copy:v1`);
      assert.match(tree, /application\/x\.note/);
    },
    async 'export and import'({ run, registry, digest }) {
      await run('regctl', 'image', 'export', `${registry}/regctl/app:v1`, 'image.tar');
      await run('regctl', 'image', 'import', `${registry}/regctl/imported:v1`, 'image.tar');
      assert.equal(await run('regctl', 'image', 'digest', `${registry}/regctl/imported:v1`), digest);
    },
    async 'list and delete'({ run, registry, digestOf }) {
      assert.equal(await run('regctl', 'tag', 'ls', `${registry}/regctl/app`), 'v1');
      await run('regctl', 'tag', 'delete', `${registry}/regctl/app:v1`);
      assert.equal(await digestOf('regctl/app', 'v1'), undefined);
    },
  },
};
