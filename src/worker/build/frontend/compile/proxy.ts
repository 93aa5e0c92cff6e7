const PROXIES: readonly string[] = ['http_proxy', 'https_proxy', 'ftp_proxy', 'no_proxy', 'all_proxy'];

/** Proxy settings among the build args, in both cases: every RUN gets them, no cache key and no history does. */
export function proxyEnvironment(buildArgs: ReadonlyMap<string, string>): string[] {
  return PROXIES.flatMap((name) => {
    const given = [...buildArgs].filter(([candidate]) => candidate.toLowerCase() === name);
    const value = given.at(-1)?.[1];
    return value ? [`${name.toUpperCase()}=${value}`, `${name}=${value}`] : [];
  });
}
