import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readImage } from '../dockerfiles/read-image.ts';
import { run } from '../e2e/harness/command.ts';
import { definition } from './graph.ts';
import type { LlbCase, Surroundings } from './llb-case.ts';

/** What a builder has made of a graph: a line a file, or what it says of its failure. */
export type Solved = { readonly files: readonly string[] } | { readonly error: string };

/** Has buildctl solve a case, its graph on standard input. */
export async function solveCase(
  one: LlbCase,
  at: { readonly buildctl: string; readonly address: string; readonly surroundings: Surroundings },
): Promise<Solved> {
  const place = mkdtempSync(join(tmpdir(), 'slipway-llb-case-'));
  try {
    const archive = join(place, 'image.tar');
    const args = ['--addr', at.address, 'build', '--progress', 'plain', ...(one.args ?? [])];
    for (const [name, files] of Object.entries(one.locals ?? {})) {
      writeFiles(join(place, name), files);
      args.push('--local', `${name}=${join(place, name)}`);
    }
    for (const [id, value] of Object.entries(one.secrets ?? {})) {
      writeFileSync(join(place, `secret-${id}`), value);
      args.push('--secret', `id=${id},src=${join(place, `secret-${id}`)}`);
    }
    args.push('--output', `type=oci,dest=${archive}`);
    const graph = one.graph(at.surroundings);
    const input = graph instanceof Uint8Array ? graph : definition(graph);
    const result = await run('timeout', ['60', at.buildctl, ...args], { env: process.env, input });
    if (result.code !== 0) return { error: messageOf(result.stderr) };
    const { files } = await readImage(archive, { shown: true, times: one.times ?? false });
    return { files };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(folder);
  for (const [path, content] of Object.entries(files)) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    if (content.startsWith('-> ')) symlinkSync(content.slice(3), file);
    else writeFileSync(file, content);
  }
}

/** What it says last, without what gRPC puts before it. */
function messageOf(stderr: string): string {
  const line =
    stderr
      .trimEnd()
      .split('\n')
      .findLast((text) => /^(?:error|.*failed to solve)/.test(text)) ?? stderr;
  return line.replace(/^error: (?:failed to solve: )?/, '').replace(/^rpc error: code = \w+ desc = /, '');
}
