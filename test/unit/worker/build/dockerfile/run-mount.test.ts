// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what a Dockerfile has
import { describe, expect, it } from 'vitest';
import { DockerfileError } from '#worker/build/dockerfile/dockerfile-error.ts';
import { expand } from '#worker/build/dockerfile/expansion.ts';
import { parseMount, resolveMount } from '#worker/build/dockerfile/run-mount.ts';

const values: Record<string, string> = { T: '/t', TYPE: 'cache', OPEN: 'a"b' };
const resolve = (text: string) =>
  resolveMount(parseMount(text), (word) => expand(word, (name) => values[name], { escapeToken: '\\' }));

describe('a mount', () => {
  it.each([
    ['target=/x', { type: 'bind', target: '/x', readOnly: true, required: false }],
    ['type=bind,dst=/x,rw', { type: 'bind', target: '/x', readOnly: false, required: false }],
    ['destination=/x,readwrite=false', { type: 'bind', target: '/x', readOnly: true, required: false }],
    ['target=/x,ro=0', { type: 'bind', target: '/x', readOnly: false, required: false }],
    [
      'Type=Cache,target=/x,ID=a,sharing=LOCKED,mode=0750,uid=1000,gid=0',
      {
        ...{ type: 'cache', target: '/x', id: 'a', sharing: 'locked', mode: 0o750, uid: 1000, gid: 0 },
        ...{ readOnly: false, required: false },
      },
    ],
    ['type=cache,target=/x,readonly', { type: 'cache', target: '/x', readOnly: true, required: false }],
    [
      'type=tmpfs,target=/x,size=1.5g',
      { type: 'tmpfs', target: '/x', sizeLimit: 1.5 * 1024 ** 3, readOnly: false, required: false },
    ],
    [
      'type=secret,id=a,env=A,required',
      { type: 'secret', id: 'a', env: 'A', required: true, readOnly: true },
    ],
    [
      'type=secret,env=,target=/x',
      { type: 'secret', env: '', target: '/x', required: false, readOnly: true },
    ],
    ['type=ssh,required=1', { type: 'ssh', required: true, readOnly: true }],
    ['type=$TYPE,target=${T}/sub', { type: 'cache', target: '/t/sub', readOnly: false, required: false }],
    [
      'from=stage,source=a b,"target=/x,y"',
      { type: 'bind', from: 'stage', source: 'a b', target: '/x,y', readOnly: true, required: false },
    ],
    ['target=/x,target=/y', { type: 'bind', target: '/y', readOnly: true, required: false }],
  ])('%s is understood', (text, mount) => {
    expect(resolve(text)).toEqual(mount);
  });

  it.each([
    ['type=nfs,target=/x', 'unsupported mount type "nfs"'],
    ['type=cahce,target=/x', 'unsupported mount type "cahce" (did you mean cache?)'],
    ['type=cache,sharing=lockd', 'unsupported sharing value "lockd" (did you mean locked?)'],
    ['tarjet=/x', "unexpected key 'tarjet' in 'tarjet=/x' (did you mean target?)"],
    ['target', "invalid field 'target' must be a key=value pair"],
    ['rw=maybe', 'invalid value for rw: maybe'],
    ['required', "unexpected key 'required' for mount type 'bind'"],
    ['type=cache,required=true', "unexpected key 'required' for mount type 'cache'"],
    ['type=ssh,required=yes', 'invalid value for required: yes'],
    ['type=bind,size=1', "unexpected key 'size' for mount type 'bind'"],
    ['type=tmpfs,size=1x', 'invalid value for size: 1x'],
    ['type=cache,mode=9', 'invalid value 9 for mode'],
    ['type=cache,uid=-1', 'invalid value -1 for uid'],
    ['type=cache,gid=4294967296', 'invalid value 4294967296 for gid'],
    ['type=bind,uid=1', 'uid not allowed for "bind" type mounts'],
    ['type=tmpfs,mode=1', 'mode not allowed for "tmpfs" type mounts'],
    ['type=secret', 'invalid secret mount. one of source, target required'],
    ['type=secret,id=a,from=b', 'secret mount should not have a from'],
    ['type=secret,id=a,sharing=shared', 'secret mount should not define sharing'],
    ['type=secret,id=a,source=b', "both source and id can't be set"],
    ['target=/x,sharing=shared', 'invalid cache sharing set for bind mount'],
    ['target=${T:?is needed}${U?gone}', 'failed to process "${T:?is needed}${U?gone}": U: gone'],
  ])('%s is refused', (text, message) => {
    expect(() => resolve(text)).toThrow(new DockerfileError(message));
  });

  it('has its stage known before its variables', () => {
    expect(parseMount('type=$X,from=Stage,bogus')).toEqual({
      text: 'type=$X,from=Stage,bogus',
      from: 'Stage',
    });
    expect(() => parseMount('from=a$B')).toThrow("'from' doesn't support variable expansion");
    expect(parseMount('from=a$')).toMatchObject({ from: 'a$' });
  });

  it.each([
    ['', 'failed to parse csv mounts: EOF'],
    ['a"b', 'failed to parse csv mounts: parse error on line 1, column 2: bare " in non-quoted field'],
    [
      '"a',
      'failed to parse csv mounts: parse error on line 1, column 2: extraneous or missing " in quoted-field',
    ],
    [
      'ü,"a"b',
      'failed to parse csv mounts: parse error on line 1, column 6: extraneous or missing " in quoted-field',
    ],
  ])('%j is no list of options', (text, message) => {
    expect(() => parseMount(text)).toThrow(new DockerfileError(message));
  });
});
