const levels: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

const shown = new Set(['level', 'time', 'role', 'msg', 'err', 'pid', 'hostname']);

/**
 * One JSON log line as people read it: time, level, role, message, then what else it carries. Anything that is not
 * such a line (a crash on standard error) is shown as it is.
 */
export function renderLogLine(line: string, role: string): string {
  const record = parse(line);
  if (!record) return `${role.padEnd(8)} ${line.trimEnd()}\n`;
  const time = typeof record.time === 'string' ? record.time.slice(11, 23) : '';
  const level = levels[Number(record.level)] ?? '';
  const fields = Object.entries(record).flatMap(([key, value]) =>
    shown.has(key) ? [] : `${key}=${inline(value)}`,
  );
  const head = [time, level.padEnd(5), role.padEnd(8), String(record.msg ?? ''), ...fields]
    .join(' ')
    .trimEnd();
  const stack = isRecord(record.err) ? `\n${String(record.err.stack ?? record.err.message)}` : '';
  return `${head}${stack.replaceAll('\n', '\n    ')}\n`;
}

/** What a log collector gets for a line that is not JSON. */
export function wrapLogLine(line: string, role: string): string {
  if (parse(line)) return `${line.trimEnd()}\n`;
  return `${JSON.stringify({ level: 30, time: new Date().toISOString(), role, msg: line.trimEnd() })}\n`;
}

function parse(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const record: unknown = JSON.parse(line);
    return isRecord(record) ? record : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function inline(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
