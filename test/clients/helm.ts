import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Trip } from './world.ts';

const plain = '--plain-http';

export const helm: Trip = {
  title: 'helm',
  clients: ['helm'],
  steps: {
    async push({ run, registry }) {
      await run('helm', 'create', 'chart');
      await run('helm', 'package', 'chart', '--version', '1.2.3');
      await run('helm', 'push', plain, 'chart-1.2.3.tgz', `oci://${registry}/charts`);
    },
    async pull({ run, registry, folder }) {
      mkdirSync(join(folder, 'pulled'));
      const chart = `oci://${registry}/charts/chart`;
      await run('helm', 'pull', plain, chart, '--version', '1.2.3', '--destination', 'pulled');
      const [sent, got] = ['', 'pulled'].map((path) => readFileSync(join(folder, path, 'chart-1.2.3.tgz')));
      assert.ok(got!.equals(sent!));
    },
    async 'find a version and render it'({ run, registry }) {
      const chart = [`oci://${registry}/charts/chart`, '--version', '^1.0.0'];
      assert.match(await run('helm', 'show', 'chart', plain, ...chart), /^version: 1\.2\.3$/m);
      assert.match(await run('helm', 'template', 'name', plain, ...chart), /^kind: Deployment$/m);
    },
  },
};
