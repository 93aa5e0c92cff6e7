import type { Container } from '../container.ts';

/** Watches over the health of running containers. */
export interface HealthMonitor {
  /** It runs now. */
  begin(container: Container): void;
  /** It does not run any more, or nobody cares. */
  end(container: Container): void;
}
