/** The operator's settings are not usable. The message is one line that names the source and the key's path. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
