import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

// In JavaScript, and before anything else is loaded: stripping types and compiling is most of a start, and what
// strips them takes 15 MB for as long as the process lives. Not being able to write there (a package in a read-only
// image) only costs time.
enableCompileCache(fileURLToPath(new URL('../../.cache/compile', import.meta.url)));

const { runCommand } = await import('./command.ts');
await runCommand(process.argv.slice(2));
