import { invalid } from '#errors/errors.ts';
import { csvFields } from '#worker/build/dockerfile/csv.ts';
import { parseDuration } from '#worker/build/dockerfile/duration.ts';
import type { BuildRecord } from '#worker/build/history/build-record.ts';
import { FilterExpressions } from './filter-expressions.ts';
import { itemFilter } from './item-filter.ts';

type RecordTest = (record: BuildRecord) => boolean;

const TIME_FIELDS = ['startedAt', 'completedAt', 'duration'];
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/**
 * The filters of `buildx history ls`: those of containerd, on `ref`, `status` and `repository`; and `startedAt`,
 * `completedAt` (a time, or how long ago) and `duration` with `>`, `>=`, `<`, `<=`. Throws `invalid`.
 */
export function historyFilter(filters: readonly string[]): RecordTest {
  if (filters.length === 0) return () => true;
  const expressions = new FilterExpressions(filters);
  const parsed = filters.map((text) => testsOf(text, expressions));
  return (record) => parsed.some((tests) => tests.every((test) => test(record)));
}

function testsOf(text: string, expressions: FilterExpressions): RecordTest[] {
  const fields = text === '' ? [] : csvFields(text);
  const timed = fields.map((field) => timeTest(field));
  const rest = fields.filter((_, index) => !timed[index]);
  const tests = timed.filter((test) => test !== undefined);
  return [...tests, itemFilter([rest.join(',')], recordField, expressions)];
}

function timeTest(text: string): RecordTest | undefined {
  const operator = ['>=', '<=', '>', '<'].find((sign) => text.includes(sign));
  if (operator === undefined) return undefined;
  const at = text.indexOf(operator);
  const field = text.slice(0, at);
  if (!TIME_FIELDS.includes(field)) return undefined;
  const value = text.slice(at + operator.length);
  const wanted = field === 'duration' ? durationOf(value) : timeOf(value);
  return (record) => {
    const difference = timeField(record, field) - wanted;
    if (operator === '>=') return difference >= 0;
    if (operator === '<=') return difference <= 0;
    return operator === '>' ? difference > 0 : difference < 0;
  };
}

/** Times are compared by the second, as BuildKit does; durations in nanoseconds. What is not over has 0. */
function timeField({ createdAt, completedAt }: BuildRecord, field: string): number {
  if (field === 'startedAt') return seconds(createdAt);
  if (!completedAt) return 0;
  return field === 'completedAt' ? seconds(completedAt) : (completedAt.getTime() - createdAt.getTime()) * 1e6;
}

function timeOf(text: string): number {
  const ago = nanoseconds(text);
  if (ago !== undefined) return seconds(new Date(Date.now() - ago / 1e6));
  if (RFC3339.test(text) && !Number.isNaN(Date.parse(text))) return seconds(new Date(text));
  throw invalid(`invalid time ${text}`);
}

function durationOf(text: string): number {
  const duration = nanoseconds(text);
  if (duration === undefined) throw invalid(`invalid duration ${text}`);
  return duration;
}

function nanoseconds(text: string): number | undefined {
  try {
    return parseDuration(text);
  } catch {
    return undefined;
  }
}

function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}

function recordField(record: BuildRecord, [field]: readonly string[]): string | undefined {
  switch (field) {
    case 'ref':
      return record.ref;
    case 'status':
      return statusOf(record);
    case 'repository':
      return repositoryOf(record.frontendOptions);
    default:
      return undefined;
  }
}

function statusOf({ completedAt, error }: BuildRecord): string {
  if (!completedAt) return 'running';
  if (!error) return 'completed';
  return error.kind === 'canceled' ? 'canceled' : 'error';
}

/** What its client says, or the context where that is a repository. */
function repositoryOf(options: Readonly<Record<string, string>>): string | undefined {
  const { context = '', 'vcs:source': source } = options;
  if (source !== undefined) return source;
  const isRepository = /^(?:(?:https?|ssh|git):\/\/|[\w.-]+@[\w.-]+:)/.test(context);
  return isRepository ? context.replace(/[#?].*$/s, '') : undefined;
}
