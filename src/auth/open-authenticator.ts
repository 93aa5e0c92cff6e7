import { type Access, OPEN_ACCESS } from './access.ts';
import type { Authenticator } from './authenticator.ts';

/** No authentication: everyone may do everything. */
export class OpenAuthenticator implements Authenticator {
  async authenticate(): Promise<Access> {
    return OPEN_ACCESS;
  }

  challenge(): undefined {
    return undefined;
  }
}
