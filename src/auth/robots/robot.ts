/** An account for a machine. It logs in as `robot+<name>` with one of its secrets. Times: milliseconds since 1970. */
export interface Robot {
  readonly name: string;
  readonly description: string;
  readonly disabled: boolean;
  /** From then on it cannot log in. */
  readonly expiresAt: number | undefined;
  readonly createdAt: number;
  readonly createdBy: string;
}
