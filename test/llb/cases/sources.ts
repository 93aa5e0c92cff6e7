import { copy, diff, exec, file, merge, mkfile, source } from '../graph.ts';
import type { LlbCase } from '../llb-case.ts';

const context = {
  'a.txt': 'a',
  'b.md': 'b',
  'dir/c.txt': 'c',
  'dir/deep/d.md': 'd',
  link: '-> dir',
  'dir/back': '-> ../a.txt',
};

const local = (name: string, attrs: Record<string, string> = {}): LlbCase => ({
  name: `local/${name}`,
  locals: { context },
  graph: () => source('local://context', attrs),
});

const list = (...patterns: string[]) => JSON.stringify(patterns);
const TEXT_DIGEST = 'sha256:b9e68e1bea3e5b19ca6b2f98b73a54b73daafaa250484902e09982e07a12e733';

export const sourceCases: readonly LlbCase[] = [
  local('all'),
  local('include', { 'local.includepattern': list('*.txt') }),
  local('include-deep', { 'local.includepattern': list('**/*.md') }),
  local('include-directory', { 'local.includepattern': list('dir') }),
  local('exclude', { 'local.excludepatterns': list('dir') }),
  local('exclude-but', { 'local.excludepatterns': list('dir', '!dir/c.txt') }),
  local('include-and-exclude', {
    'local.includepattern': list('dir'),
    'local.excludepatterns': list('**/*.md'),
  }),
  local('follow', { 'local.followpaths': list('link') }),
  local('follow-file', { 'local.followpaths': list('dir/back') }),
  local('follow-wildcard', { 'local.followpaths': list('dir/*.txt') }),
  local('shared-key', { 'local.sharedkeyhint': 'key', 'local.unique': 'x' }),
  local('differ-none', { 'local.differ': 'none' }),
  local('differ-metadata', { 'local.differ': 'metadata' }),
  {
    ...local('metadata-only', { 'local.metadatatransfer': 'true' }),
    differs: 'here all is transferred',
  },
  {
    ...local('metadata-but', {
      'local.metadatatransfer': 'true',
      'local.metadatatransferexclude': list('dir/*.txt'),
    }),
    differs: 'here all is transferred',
  },
  { ...local('unknown'), graph: () => source('local://none'), fails: 'no access allowed to dir "none"' },
  local('differ-nonsense', { 'local.differ': 'bytes' }),
  {
    name: 'image/by-tag',
    graph: ({ registry }) => source(`docker-image://${registry}/library/busybox:latest`),
  },
  {
    name: 'image/missing',
    graph: ({ registry }) => source(`docker-image://${registry}/library/none:latest`),
    fails: 'not found',
  },
  {
    name: 'image/layer-limit',
    graph: ({ registry }) =>
      source(`docker-image://${registry}/library/busybox:latest`, { 'image.layerlimit': '1' }),
  },
  {
    name: 'image/layer-limit-beyond',
    graph: ({ registry }) =>
      source(`docker-image://${registry}/library/busybox:latest`, { 'image.layerlimit': '9' }),
    fails: 'layer limit 9 is greater than the number of layers in the image 1',
  },
  {
    name: 'image/resolve-mode-nonsense',
    graph: ({ registry }) =>
      source(`docker-image://${registry}/library/busybox:latest`, { 'image.resolvemode': 'never' }),
    fails: 'failed to load cache key: invalid resolvemode: never',
  },
  { name: 'http/file', graph: ({ web }) => source(`${web}/file`) },
  { name: 'http/filename', graph: ({ web }) => source(`${web}/file`, { 'http.filename': 'other' }) },
  { name: 'http/named-by-its-server', graph: ({ web }) => source(`${web}/named`) },
  {
    name: 'http/mode-and-owner',
    graph: ({ web }) => source(`${web}/file`, { 'http.perm': '0755', 'http.uid': '5', 'http.gid': '6' }),
  },
  { name: 'http/checksum', graph: ({ web }) => source(`${web}/file`, { 'http.checksum': TEXT_DIGEST }) },
  {
    name: 'http/checksum-wrong',
    graph: ({ web }) => source(`${web}/file`, { 'http.checksum': `sha256:${'0'.repeat(64)}` }),
    fails: `digest mismatch ${TEXT_DIGEST}: sha256:${'0'.repeat(64)}`,
  },
  {
    name: 'http/missing',
    graph: ({ web }) => source(`${web}/missing`),
    fails: 'failed to load cache key: invalid response status 404',
  },
  { name: 'http/time', times: true, graph: ({ web }) => source(`${web}/file`) },
  { name: 'git/default-branch', graph: ({ git }) => source(`git://${git.slice(7)}`, { 'git.fullurl': git }) },
  { name: 'git/tag', graph: ({ git }) => source(`git://${git.slice(7)}#v1`, { 'git.fullurl': git }) },
  {
    name: 'git/commit',
    graph: ({ git, commit }) => source(`git://${git.slice(7)}#${commit}`, { 'git.fullurl': git }),
  },
  {
    name: 'git/subdir',
    graph: ({ git }) => source(`git://${git.slice(7)}#main:sub`, { 'git.fullurl': git }),
  },
  {
    name: 'git/checksum',
    graph: ({ git, commit }) =>
      source(`git://${git.slice(7)}#v1`, { 'git.fullurl': git, 'git.checksum': commit }),
  },
  {
    name: 'git/checksum-wrong',
    graph: ({ git }) =>
      source(`git://${git.slice(7)}#v1`, { 'git.fullurl': git, 'git.checksum': '0'.repeat(40) }),
    fails: 'failed to load cache key: expected checksum to match',
    differs: 'BuildKit 0.25 does not say yet that it was for the cache key',
  },
  {
    name: 'git/missing-ref',
    graph: ({ git }) => source(`git://${git.slice(7)}#none`, { 'git.fullurl': git }),
    fails: 'failed to load cache key: repository does not contain ref none',
  },
  {
    name: 'git/missing-subdir',
    graph: ({ git }) => source(`git://${git.slice(7)}#main:none`, { 'git.fullurl': git }),
    fails: 'none',
  },
  {
    name: 'source/several-together',
    locals: { context: { a: 'a' }, more: { b: 'b' } },
    graph: ({ busybox, web }) =>
      exec(
        merge(busybox!, file(undefined, copy(source('local://context'), '/a', '/a'), mkfile('/m', 'm'))),
        'cat /a /web/file /more/b > /out',
        {
          mounts: [
            { dest: '/web', from: source(`${web}/file`) },
            { dest: '/more', from: source('local://more') },
          ],
        },
      ),
  },
  {
    name: 'source/difference-of-clients',
    locals: { one: { a: 'a', both: 'x' }, two: { b: 'b', both: 'y' } },
    graph: () => diff(source('local://one'), source('local://two')),
  },
];
