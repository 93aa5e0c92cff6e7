import { existsSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';

// npm run bench -- NAME: runs test/bench/NAME.ts.

const folder = new URL('./', import.meta.url);
const [name] = process.argv.slice(2);
const file = name && /^[a-z0-9-]+$/.test(name) && name !== 'main' ? new URL(`${name}.ts`, folder) : undefined;
if (!file || !existsSync(file)) {
  const names = readdirSync(folder).flatMap((entry) =>
    entry.endsWith('.ts') && entry !== 'main.ts' ? basename(entry, '.ts') : [],
  );
  console.error(`usage: npm run bench -- ${names.join(' | ')}`);
  process.exit(2);
}
const bench = (await import(file.href)) as { run(): Promise<void> };
await bench.run();
