import { DESCRIBE, OUTLINE, type SubrequestResult, subrequestResult, TARGETS } from './subrequest.ts';
import { formatTable } from './table.ts';

/** `docker build --call=subrequests.describe`. BuildKit does not list lint, so that old clients do not meet it. */
export function describeResult(): SubrequestResult {
  const all = [OUTLINE, TARGETS, DESCRIBE];
  const rows = all.map(({ name, version, description }) => [
    name.replace(/^frontend\./, ''),
    version,
    description,
  ]);
  return subrequestResult(DESCRIBE, all, formatTable([['NAME', 'VERSION', 'DESCRIPTION'], ...rows], 1));
}
