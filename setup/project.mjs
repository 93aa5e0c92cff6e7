import { fileURLToPath } from 'node:url';

/** The folder that holds package.json, without a closing slash. */
export const projectDir = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');

/** What is fetched or made once for tests; ignored by git. */
export const cacheDir = `${projectDir}/.cache`;
