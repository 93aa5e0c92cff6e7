import { readFileSync } from 'node:fs';

const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

/** Of this copy of Slipway, as package.json has it. */
export const version = (manifest as { version: string }).version;
