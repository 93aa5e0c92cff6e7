import { type Digest, digestOf } from './digest.ts';

/**
 * The chain ID of a stack of layers, bottom first: it names the file tree that they make together
 * (OCI image-spec, config.md, "Layer ChainID").
 */
export function chainId(diffIds: readonly Digest[]): Digest {
  const [first, ...rest] = diffIds;
  if (first === undefined) throw new TypeError('a chain ID needs at least one diff ID');
  return rest.reduce((parent, diffId) => digestOf(`${parent} ${diffId}`), first);
}

/** The chain ID after each layer, bottom first. */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const parent = chain.at(-1);
    chain.push(parent === undefined ? diffId : digestOf(`${parent} ${diffId}`));
  }
  return chain;
}
