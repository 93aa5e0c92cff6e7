import { once } from 'node:events';
import { open, rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Writable } from 'node:stream';
import type { FileOutput, Output } from '#worker/buildkit/client/offers.ts';
import { Refusal } from '../refusal.ts';
import { keyValues } from './key-values.ts';

interface Exporter {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

export interface BuildOutputs {
  readonly exporters: readonly Exporter[];
  readonly outputs: ReadonlyMap<number, Output>;
}

interface OutputRequest {
  readonly tags: readonly string[];
  readonly push: boolean;
  /** `--output`, each as it was given. */
  readonly outputs: readonly string[];
  readonly stdout: Writable;
}

const FILES = new Set(['tar', 'oci', 'docker']);

/** What a build makes, and where that goes: an image into the worker's store unless said otherwise. Throws `Refusal`. */
export function buildOutputs({ tags, push, outputs, stdout }: OutputRequest): BuildOutputs {
  const exporters: Exporter[] = [];
  const targets = new Map<number, Output>();
  for (const text of outputs.length > 0 ? outputs : ['type=image']) {
    const { type, dest, attrs } = read(text);
    const target = targetOf({ type, dest, stdout, text });
    if (target) targets.set(exporters.length, target);
    const names: Record<string, string> =
      type === 'local' || type === 'tar' ? {} : { name: attrs.name ?? tags.join(',') };
    exporters.push({ type: target || type !== 'docker' ? type : 'image', attrs: { ...attrs, ...names } });
  }
  if (push) {
    const image = exporters.findIndex(({ type }) => type === 'image');
    if (image >= 0) exporters[image] = pushed(exporters[image]!);
    else exporters.push(pushed({ type: 'image', attrs: { name: tags.join(',') } }));
  }
  if (new Set([...targets.values()].map(({ kind }) => kind)).size > 1) {
    throw new Refusal('--output: files and directories need a build each', { exitCode: 2 });
  }
  return { exporters, outputs: targets };
}

function pushed({ type, attrs }: Exporter): Exporter {
  if (!attrs.name) throw new Refusal('--push needs a --tag', { exitCode: 2 });
  return { type, attrs: { ...attrs, push: 'true' } };
}

function read(text: string): { type: string; dest: string | undefined; attrs: Record<string, string> } {
  // As docker has it: a path alone is a directory, `-` a tar.
  if (!text.includes('=')) return { type: text === '-' ? 'tar' : 'local', dest: text, attrs: {} };
  const { type, dest, ...attrs } = Object.fromEntries(keyValues('--output', text));
  if (!type) throw new Refusal(`--output ${text}: type is missing`, { exitCode: 2 });
  if (type === 'registry') return { type: 'image', dest: undefined, attrs: { ...attrs, push: 'true' } };
  return { type, dest, attrs };
}

function targetOf(given: { type: string; dest: string | undefined; stdout: Writable; text: string }) {
  const { type, dest, stdout, text } = given;
  if (type === 'local') {
    if (!dest || dest === '-') throw new Refusal(`--output ${text}: dest is missing`, { exitCode: 2 });
    return { kind: 'directory', path: resolve(dest) } as const;
  }
  // Without a place for it, an image of the worker's.
  if (!FILES.has(type) || (type === 'docker' && !dest)) return undefined;
  if (dest && dest !== '-') return { kind: 'file', open: () => openFile(resolve(dest)) } as const;
  const terminal = (stdout as Writable & { isTTY?: boolean }).isTTY === true;
  if (terminal)
    throw new Refusal(`--output ${text}: dest is missing, and this is a terminal`, { exitCode: 2 });
  return { kind: 'file', open: async () => toStream(stdout) } as const;
}

/** Under another name until it is whole. */
async function openFile(path: string): Promise<FileOutput> {
  const temporary = `${path}.${process.pid}.part`;
  const file = await open(temporary, 'w');
  return {
    async write(bytes) {
      for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
    },
    async finish() {
      await file.close();
      await rename(temporary, path);
    },
    async [Symbol.asyncDispose]() {
      await file.close().catch(() => undefined);
      await rm(temporary, { force: true });
    },
  };
}

function toStream(stream: Writable): FileOutput {
  return {
    async write(bytes) {
      if (!stream.write(bytes)) await once(stream, 'drain');
    },
    async finish() {},
    async [Symbol.asyncDispose]() {},
  };
}
