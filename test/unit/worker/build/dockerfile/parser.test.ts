// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is what a Dockerfile has
import { describe, expect, it } from 'vitest';
import { parseDockerfile } from '#worker/build/dockerfile/parser.ts';
import { linesOf } from '#worker/build/dockerfile/ranges.ts';
import { resolveMount } from '#worker/build/dockerfile/run-mount.ts';

const parse = (...lines: string[]) => parseDockerfile(lines.join('\n'));
const first = (...lines: string[]) => parse('FROM a', ...lines).stages[0]!.instructions[0]!;
describe('stages', () => {
  it('takes global ARGs, names, platforms and their instructions apart', () => {
    const file = parse(
      'ARG V=1',
      'FROM --platform=linux/amd64 busybox:$V AS Base',
      'RUN a',
      'FROM base',
      'CMD b',
    );
    expect(file.globalArgs[0]).toMatchObject({ args: [{ name: 'V', value: '1' }], text: 'ARG V=1', line: 1 });
    expect(file.stages).toHaveLength(2);
    expect(file.stages[0]!.from).toMatchObject({
      image: 'busybox:$V',
      stage: 'base',
      platform: 'linux/amd64',
      text: 'FROM --platform=linux/amd64 busybox:$V AS Base',
      line: 2,
    });
    expect(file.stages[1]!.instructions[0]).toMatchObject({ name: 'CMD', line: 5 });
  });
});

describe('lines', () => {
  it('joins continued lines, drops comments within them, and warns of empty ones', () => {
    const file = parse('FROM a', 'RUN one \\', '  # a comment', '\\', '', '  two \\  ', '  three');
    expect(file.stages[0]!.instructions[0]).toMatchObject({ text: 'RUN one   two   three', line: 2 });
    expect(file.emptyContinuations).toEqual([{ text: 'RUN one   two   three', range: linesOf(7) }]);
  });

  it('does not continue after an escaped escape, nor lose the last line of a file', () => {
    expect(first('RUN a\\\\', 'CMD b')).toMatchObject({ text: 'RUN a\\\\' });
    expect(first('RUN a \\')).toMatchObject({ text: 'RUN a' });
  });

  it('reads CRLF, a byte order mark, indentation and directives', () => {
    const file = parseDockerfile(
      '\uFEFF# syntax=docker/dockerfile:1\r\n# escape=`\r\nFROM a\r\n  run x `\r\n y\r\n',
    );
    expect(file.directives).toEqual({ syntax: 'docker/dockerfile:1', escape: '`' });
    expect(file.stages[0]!.instructions[0]).toMatchObject({ name: 'RUN', text: 'run x  y' });
  });

  it('takes a directive after anything else for a comment', () => {
    expect(parse('# a comment', '# escape=`', 'FROM a', 'RUN x \\', 'y').directives.escape).toBe('\\');
  });
});

describe('instructions', () => {
  it('tells shell and exec forms apart', () => {
    expect(first('RUN echo "a"  b')).toMatchObject({ command: { form: 'shell', words: ['echo "a"  b'] } });
    expect(first('RUN ["a", "b c"]')).toMatchObject({ command: { form: 'exec', words: ['a', 'b c'] } });
    expect(first("RUN ['a']")).toMatchObject({ command: { form: 'shell', words: ["['a']"] } });
    expect(first('RUN [ -f x ]')).toMatchObject({ command: { form: 'shell' } });
    expect(first('ENTRYPOINT []')).toMatchObject({ command: { form: 'exec', words: [] } });
  });

  it('reads names and values', () => {
    expect(first('ENV a=1 b="x y" c=x\\ y')).toMatchObject({
      pairs: [
        ['a', '1'],
        ['b', '"x y"'],
        ['c', 'x\\ y'],
      ],
    });
    expect(first('ENV a b  c')).toMatchObject({ pairs: [['a', 'b  c']] });
    expect(first('ARG a b=2 c=')).toMatchObject({
      args: [{ name: 'a' }, { name: 'b', value: '2' }, { name: 'c', value: '' }],
    });
  });

  it('reads COPY and ADD with their flags', () => {
    expect(first('COPY --from=0 --chown=a:b --chmod=755 --link a b /c/')).toMatchObject({
      name: 'COPY',
      from: '0',
      chown: 'a:b',
      chmod: '755',
      link: true,
      sources: ['a', 'b'],
      destination: '/c/',
    });
    expect(first('ADD ["a b", "/c d"]')).toMatchObject({ sources: ['a b'], destination: '/c d' });
  });

  it('reads lists, values and health checks', () => {
    expect(first('EXPOSE 80 443/tcp')).toMatchObject({ items: ['443/tcp', '80'] });
    expect(first('VOLUME ["/a b"]')).toMatchObject({ items: ['/a b'] });
    expect(first('WORKDIR /a b')).toMatchObject({ value: '/a b' });
    expect(first('HEALTHCHECK --interval=1m30s --retries=3 CMD a b')).toMatchObject({
      healthcheck: { Test: ['CMD-SHELL', 'a b'], Interval: 90e9, Retries: 3 },
    });
    expect(first('HEALTHCHECK CMD ["a"]')).toMatchObject({ healthcheck: { Test: ['CMD', 'a'] } });
    expect(first('HEALTHCHECK NONE')).toMatchObject({ healthcheck: { Test: ['NONE'] } });
    expect(first('ONBUILD RUN  x')).toMatchObject({ trigger: 'RUN  x' });
  });

  it('reads heredocs', () => {
    expect(first('RUN <<EOF sh', 'a', 'EOF')).toMatchObject({
      heredocs: [{ name: 'EOF', content: 'a\n', expand: true }],
      text: 'RUN <<EOF sh',
    });
    expect(first("COPY <<-'X' <<Y b /d/", '\t1', '\tX', '2', 'Y')).toMatchObject({
      sources: ['b'],
      heredocs: [
        { name: 'X', content: '1\n', expand: false },
        { name: 'Y', content: '2\n', expand: true },
      ],
    });
    expect(first('RUN a <<< b')).toMatchObject({ heredocs: [] });
    expect(first('ONBUILD RUN <<E', 'x', 'E')).toMatchObject({ trigger: 'RUN <<E\nx\nE' });
  });

  it('reads RUN mounts', () => {
    const run = first('RUN --mount=type=cache,dst=/c,sharing=locked --mount=target=/b,rw --network=none x');
    expect(run).toMatchObject({ network: 'none', command: { words: ['x'] } });
    expect(run.name === 'RUN' && run.mounts.map((mount) => resolveMount(mount, (word) => word))).toEqual([
      { type: 'cache', target: '/c', sharing: 'locked', readOnly: false, required: false },
      { type: 'bind', target: '/b', readOnly: false, required: false },
    ]);
  });
});
