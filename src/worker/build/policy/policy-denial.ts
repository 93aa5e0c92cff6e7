import { SlipwayError } from '#errors/errors.ts';

/** A client's own policy refused a source, and may have said why. */
export class PolicyDenial extends SlipwayError {
  readonly messages: readonly string[];

  constructor(message: string, messages: readonly string[]) {
    super('forbidden', message);
    this.messages = messages;
  }
}
