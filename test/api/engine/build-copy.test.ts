import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BuildWorker, contextOf, type Files, startBuildWorker } from './build-worker.ts';

let worker: BuildWorker;

beforeAll(async () => {
  worker = await startBuildWorker();
});
afterAll(async () => {
  await worker[Symbol.asyncDispose]();
});

const lines = (...text: string[]) => `${text.join('\n')}\n`;
const folder = (mode = 0o755) => ({ type: 'directory', mode }) as const;
const link = (linkPath: string) => ({ type: 'symlink', linkPath, mode: 0o777 }) as const;

/** Builds the instructions on busybox and shows what `command` prints in the result. */
async function show(instructions: string[], files: Files, command: string): Promise<string> {
  const answer = await worker.build(
    { Dockerfile: lines('FROM busybox', ...instructions), ...files },
    { t: 'shown' },
  );
  if (answer.error) throw new Error(answer.error);
  return worker.sh('shown', command);
}

const failure = async (instructions: string[], files: Files = {}) =>
  (await worker.build({ Dockerfile: lines('FROM busybox', ...instructions), ...files })).error;

describe('COPY', () => {
  it('copies a file to a name or into a directory', async () => {
    const files = { a: 'A', b: 'B' };
    const commands = ['COPY a /one', 'COPY a /dir/', 'COPY a b /both/', 'COPY b /tmp', 'COPY a b ./'];
    expect(await show(commands, files, 'cat /one /dir/a /both/a /both/b /tmp/b /a /b')).toBe('AAABBAB');
  });

  it('copies what is in a directory, with modes, links and hidden files', async () => {
    const files: Files = {
      'src/': folder(0o750),
      'src/.hidden': 'h',
      'src/sub/': folder(0o700),
      'src/sub/run': { ...{ mode: 0o4755 }, type: 'file', size: 0 },
      'src/link': link('sub/run'),
      'src/dangling': link('/nowhere'),
    };
    const listing = await show(
      ['COPY src /to', 'COPY src /tmp'],
      files,
      'cd /to; stat -c "%a %n" . .hidden sub sub/run; readlink link; readlink dangling; stat -c %a /tmp; ls -A /tmp',
    );
    expect(listing).toBe(
      lines(
        '755 .',
        '644 .hidden',
        '700 sub',
        '4755 sub/run',
        'sub/run',
        '/nowhere',
        '1777',
        '.hidden',
        'dangling',
        'link',
        'sub',
      ),
    );
  });

  it('keeps times and hard links', async () => {
    const files: Files = { 'd/a': 'same', 'd/b': { type: 'hardlink', linkPath: 'd/a' } };
    expect(await show(['COPY d /d'], files, 'stat -c "%h %Y" /d/a; [ /d/a -ef /d/b ] && echo linked')).toBe(
      '2 1700000000\nlinked\n',
    );
  });

  it('matches wildcards as Go does', async () => {
    const files = { 'a.txt': '1', 'b.txt': '2', 'c.md': '3', 'sub/d.txt': '4', 'x[1]': '5' };
    const commands = ['COPY *.txt /t/', 'COPY */d.tx? /u/', 'COPY x[[]1] /v', 'COPY none* /w/'];
    expect(await show(commands, files, 'ls /t /u; cat /v; ls -d /w 2>/dev/null')).toBe(
      '/t:\na.txt\nb.txt\n\n/u:\nd.txt\n5',
    );
  });

  it('keeps to the context, whatever the path says', async () => {
    const files = { f: 'mine', up: link('../../../../etc'), evil: link('/etc/hostname') };
    expect(await show(['COPY ../../f /f', 'COPY /../f /g'], files, 'cat /f /g')).toBe('minemine');
    expect(await failure(['COPY up /x'], files)).toContain('stat up: file does not exist');
    expect(await failure(['COPY evil /x'], files)).toContain('stat evil: file does not exist');
  });

  it('follows links in the destination inside of the root file system', async () => {
    const commands = [
      'RUN mkdir /real && ln -s /real /abs && ln -s ../../../real /rel && ln -s /later /dangling && ln -s /real/file /filelink',
      'COPY f /abs/one',
      'COPY f /rel/',
      'COPY f /dangling',
      'COPY f /filelink',
      'COPY f /../../../climbed',
    ];
    expect(await show(commands, { f: 'F' }, 'ls /real; ls -l /dangling | cut -c1; cat /later /climbed')).toBe(
      'f\nfile\none\nl\nFF',
    );
  });

  it('replaces links that are in the way, and never writes through them out of the root', async () => {
    const linked = 'RUN mkdir /d && ln -s /etc/passwd /d/passwd && ln -s /etc /d/sub';
    expect(
      await show(
        [linked, 'COPY d /d'],
        { 'd/passwd': 'harmless' },
        'cat /d/passwd; grep -c root /etc/passwd',
      ),
    ).toBe('harmless1\n');
    expect(await failure([linked, 'COPY d /d'], { 'd/sub/x': 'X' })).toBe(
      'COPY failed: cannot copy to non-directory: /d/sub',
    );
  });

  it('gives files the owner and mode that it is told', async () => {
    const files: Files = { f: 'F', 'd/sub/g': 'G', owned: { type: 'file', uid: 5, gid: 6 } };
    const commands = [
      'RUN echo app:x:77:88::/:/bin/sh >> /etc/passwd; echo team:x:99: >> /etc/group',
      'COPY f owned /root-owned/',
      'COPY --chown=12 f /n/f',
      'COPY --chown=app f /u',
      'COPY --chown=app:team --chmod=0700 d /d',
      'ARG ID=5:6',
      'COPY --chown=$ID f /v',
    ];
    const stat = 'stat -c "%u:%g %a" /root-owned/owned /n /n/f /u /d /d/sub /d/sub/g /v';
    expect(await show(commands, files, stat)).toBe(
      lines(
        '0:0 644',
        '12:12 755',
        '12:12 644',
        '77:88 644',
        '77:99 700',
        '77:99 700',
        '77:99 700',
        '5:6 644',
      ),
    );
    expect(await failure(['COPY --chown=nobody-here f /f'], files)).toContain('nobody-here');
    expect(await failure(['COPY --chmod=999 f /f'], files)).toContain('invalid chmod parameter');
  });

  it('keeps owners, xattrs and holes of permission when it copies from a stage', async () => {
    const dockerfile = lines(
      'FROM busybox AS one',
      'RUN mkdir -p /o/p && touch /o/p/f && chown -R 3:4 /o/p && chmod 2711 /o/p && ln /o/p/f /o/p/g',
      'FROM busybox',
      'COPY --from=one /o /o',
      'COPY --from=busybox /etc/group /from-image',
    );
    expect((await worker.build({ Dockerfile: dockerfile }, { t: 'stages' })).error).toBeUndefined();
    expect(
      await worker.sh('stages', 'stat -c "%u:%g %a %h" /o/p /o/p/f; test -s /from-image && echo image'),
    ).toBe('3:4 2711 2\n3:4 644 2\nimage\n');
  });

  it('leaves out what .dockerignore says', async () => {
    const files: Files = {
      '.dockerignore': lines('# comment', '*.log', '!keep.log', '**/secret', 'node_modules', 'Dockerfile'),
      'a.log': '',
      'keep.log': '',
      'd/secret/x': '',
      'd/ok': '',
      'node_modules/m/index.js': '',
    };
    expect(await show(['COPY . /all'], files, 'cd /all; find . | sort')).toBe(
      lines('.', './.dockerignore', './d', './d/ok', './keep.log'),
    );
    expect(await failure(['COPY a.log /'], files)).toBe(
      'COPY failed: file not found in build context or excluded by .dockerignore: stat a.log: file does not exist',
    );
  });

  it('prefers the ignore file of its Dockerfile', async () => {
    const files = {
      '.dockerignore': 'a',
      'D.dockerignore': 'b',
      D: 'FROM busybox\nCOPY . /all\n',
      a: '',
      b: '',
    };
    await worker.build(files, { dockerfile: 'D', t: 'ignored' });
    expect(await worker.sh('ignored', 'ls -A /all')).toBe('.dockerignore\nD\nD.dockerignore\na\n');
  });

  it.each([
    [
      ['COPY nope /'],
      {},
      'COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist',
    ],
    [['COPY --from=busybox /nope /'], {}, 'COPY failed: stat nope: file does not exist'],
    [
      ['COPY a b /c'],
      { a: '', b: '' },
      'When using COPY with more than one source file, the destination must be a directory and end with a /',
    ],
    [['COPY a /etc/passwd/x'], { a: '' }, 'COPY failed: cannot copy to non-directory: /etc/passwd'],
    [['COPY d /etc/passwd'], { 'd/x': '' }, 'COPY failed: cannot copy to non-directory: /etc/passwd'],
    [
      ['RUN mkdir -p /t/a', 'COPY a /t/'],
      { a: '' },
      'COPY failed: cannot replace to directory /t/a with file',
    ],
    [
      ['RUN ln -s loop /loop', 'COPY a /loop/x'],
      { a: '' },
      'COPY failed: too many levels of symbolic links: /loop',
    ],
    [['COPY http://x/y /'], {}, "source can't be a URL for COPY"],
    [['COPY [a /'], {}, 'COPY failed: syntax error in pattern'],
  ])('fails %j', async (instructions, files, message) => {
    expect(await failure(instructions, files as Files)).toContain(message);
  });
});

describe('ADD', () => {
  it('unpacks local archives, whatever their name, and copies all else', async () => {
    const inner = await buffer(
      contextOf({
        'bin/': folder(),
        'bin/tool': { type: 'file', mode: 0o755, uid: 7, gid: 8 },
        l: link('bin/tool'),
        'bin/again': { type: 'hardlink', linkPath: 'bin/tool' },
      }),
    );
    const files = {
      'plain.tar': inner,
      packed: gzipSync(inner),
      'text.tar.txt': 'text',
      'single.gz': gzipSync('x'),
    };
    const commands = [
      'RUN mkdir -p /real && ln -s /real /x && mkdir /x/y',
      'ADD plain.tar /x/y',
      'ADD --chown=1:2 packed /z/',
      'ADD text.tar.txt single.gz /t/',
      'COPY packed /kept',
    ];
    const command =
      'ls /real/y; stat -c "%u:%g %a %h" /x/y/bin/tool; stat -c "%u:%g" /z/bin/tool; readlink /z/l; cat /t/text.tar.txt; ls /t; test -f /kept && echo kept';
    expect(await show(commands, files, command)).toBe(
      lines('bin', 'l', '7:8 755 2', '1:2', 'bin/tool', 'textsingle.gz', 'text.tar.txt', 'kept'),
    );
  });

  it('unpacks what only programs unpack', async () => {
    const inner = await buffer(contextOf({ f: 'x'.repeat(100_000) }));
    const files = {
      'a.tar.xz': execFileSync('xz', ['-c'], { input: inner }),
      'b.tar.bz2': execFileSync('bzip2', ['-c'], { input: inner }),
      'text.xz': execFileSync('xz', ['-c'], { input: 'no archive' }),
    };
    const commands = ['ADD a.tar.xz /a/', 'ADD b.tar.bz2 /b/', 'ADD text.xz /c/'];
    expect(await show(commands, files, 'wc -c < /a/f; wc -c < /b/f; ls /c')).toBe(
      '100000\n100000\ntext.xz\n',
    );
    const broken = { 'a.tar.xz': files['a.tar.xz'].subarray(0, 60) };
    expect(await failure(['ADD a.tar.xz /a/'], broken)).toContain('ADD failed: broken xz stream');
  });

  it('never unpacks out of the root file system', async () => {
    const evil = await buffer(contextOf({ out: link('/etc'), 'out/planted': 'x' }));
    expect(await show(['ADD evil.tar /d/'], { 'evil.tar': evil }, 'ls /etc/planted')).toBe('/etc/planted\n');
    const climbing = await buffer(contextOf({ '../../../climbed': 'x' }));
    expect(await failure(['ADD evil.tar /d/'], { 'evil.tar': climbing })).toContain(
      "leads out of the archive's root",
    );
  });

  it('downloads', async () => {
    let hits = 0;
    const inner = await buffer(contextOf({ f: 'x' }));
    const server = createServer((req, res) => {
      hits++;
      if (req.url === '/missing') res.statusCode = 404;
      res.setHeader('Last-Modified', 'Tue, 14 Nov 2023 22:13:20 GMT');
      res.end(req.url?.startsWith('/a.tar') ? inner : 'downloaded');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const commands = [`ADD ${url}/file.txt /d/`, `ADD ${url}/file.txt?x=1 /named`, `ADD ${url}/a.tar /`];
      expect(
        await show(
          commands,
          {},
          'cat /d/file.txt /named; stat -c "%a %Y" /named; test -f /a.tar && echo kept',
        ),
      ).toBe('downloadeddownloaded600 1700000000\nkept\n');
      expect(await failure([`ADD ${url}/missing /x`])).toContain('invalid response status 404');
      const other = `sha256:${'0'.repeat(64)}`;
      expect(await failure([`ADD --checksum=${other} ${url}/f /x`])).toContain('digest mismatch');
      const before = hits;
      const again = await worker.build({ Dockerfile: lines('FROM busybox', ...commands) });
      expect(again.output.match(/Using cache/g)).toHaveLength(3);
      expect(hits).toBe(before + 3);
    } finally {
      server.close();
    }
  });
});

it('refuses broken and hostile contexts', async () => {
  const bad = async (body: Uint8Array) => {
    const answer = await worker.build(
      {},
      {},
      {
        body: (async function* () {
          yield body;
        })(),
      },
    );
    return [answer.status, answer.error];
  };
  expect(await bad(Buffer.from('not a tar, but longer than nothing'.repeat(40)))).toEqual([
    400,
    expect.stringContaining('invalid tar'),
  ]);
  expect(await bad(gzipSync('cut').subarray(0, 12))).toEqual([400, expect.stringContaining('broken gzip')]);
  const cut = (await buffer(contextOf({ Dockerfile: 'FROM busybox\n'.repeat(100) }))).subarray(0, 1000);
  expect(await bad(cut)).toEqual([400, expect.stringContaining('unexpected end of archive')]);
  expect(await bad(new Uint8Array())).toEqual([400, 'Cannot locate specified Dockerfile: Dockerfile']);
  const climbing = await worker.build({ Dockerfile: 'FROM busybox\n', '../../x': 'y' });
  expect(climbing).toMatchObject({
    status: 400,
    error: expect.stringContaining("leads out of the archive's root"),
  });
});
