import assert from 'node:assert/strict';
import type { Trip } from './world.ts';

export const crane: Trip = {
  title: 'crane',
  clients: ['crane'],
  steps: {
    async push({ run, registry, layout, digest, digestOf }) {
      await run('crane', 'push', layout, `${registry}/crane/app:v1`);
      assert.equal(await digestOf('crane/app', 'v1'), digest);
    },
    async validate({ run, registry }) {
      assert.match(await run('crane', 'validate', '--remote', `${registry}/crane/app:v1`), /^PASS/);
    },
    async 'pull as tar and as layout'({ run, registry, digest }) {
      await run('crane', 'pull', `${registry}/crane/app:v1`, 'app.tar');
      await run('crane', 'pull', '--format', 'oci', `${registry}/crane/app:v1`, 'pulled');
      await run('crane', 'push', 'pulled', `${registry}/crane/again:v1`);
      assert.equal(await run('crane', 'digest', `${registry}/crane/again:v1`), digest);
    },
    async 'copy to another repository'({ run, registry, digest, digestOf }) {
      await run('crane', 'copy', `${registry}/crane/app:v1`, `${registry}/crane/copy:v1`);
      assert.equal(await digestOf('crane/copy', 'v1'), digest);
    },
    async 'mutate, and gather in an index'({ run, registry }) {
      const [app, other] = [`${registry}/crane/app:v1`, `${registry}/crane/app:v2`];
      await run('crane', 'mutate', app, '--label', 'a=b', '--tag', other);
      await run('crane', 'index', 'append', '-m', app, '-m', other, '-t', `${registry}/crane/app:all`);
      assert.match(await run('crane', 'validate', '--remote', `${registry}/crane/app:all`), /^PASS/);
    },
    async 'tag and list'({ run, registry }) {
      await run('crane', 'tag', `${registry}/crane/app:v1`, 'stable');
      assert.equal(await run('crane', 'ls', `${registry}/crane/app`), 'all\nstable\nv1\nv2');
      assert.match(await run('crane', 'catalog', registry), /^crane\/again\ncrane\/app\ncrane\/copy/);
    },
    async delete({ run, registry, digestOf }) {
      await run('crane', 'delete', `${registry}/crane/app:v2`);
      assert.equal(await digestOf('crane/app', 'v2'), undefined);
    },
  },
};
