import { expect } from 'vitest';
import type { CommandResult } from './command.ts';

/** What a command printed is what a failed test has to show, and a matcher of its code alone would leave it out. */
expect.extend({
  toSucceed({ code, stdout, stderr }: Partial<CommandResult>) {
    return {
      pass: code === 0,
      message: () => `exit code ${code}; it printed\n${stdout ?? ''}${stderr ?? ''}`,
    };
  },
});

declare module 'vitest' {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars -- has to be declared as vitest declares it
  interface Matchers<T> {
    /** A program ended with exit code 0. */
    toSucceed(): void;
  }
}
