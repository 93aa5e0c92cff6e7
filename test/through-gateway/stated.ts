/** Tests that come out otherwise through a gateway than at a worker, and why they have to. */
export const stated: readonly { readonly file: string; readonly test: string; readonly reason: string }[] =
  [];
