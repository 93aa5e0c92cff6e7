/** Docker's clients tell a registry by this header. */
export const VERSION_HEADER = ['Docker-Distribution-Api-Version', 'registry/2.0'] as const;
