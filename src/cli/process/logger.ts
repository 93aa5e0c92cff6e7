import { type Logger, pino } from 'pino';
import type { Config } from '#config/schema.ts';
import { renderLogLine } from './log-line.ts';

/**
 * A role's log on standard output: JSON for a supervisor or a log collector, else text. Written synchronously, so
 * that the last words of a process that dies are there.
 */
export function createLogger(role: string, options: Config['log'] & { supervised: boolean }): Logger {
  const destination = pino.destination({ dest: 1, sync: true });
  const text = options.format === 'text' && !options.supervised;
  const stream = text
    ? { write: (line: string) => destination.write(renderLogLine(line, role)) }
    : destination;
  return pino({ level: options.level, base: { role }, timestamp: pino.stdTimeFunctions.isoTime }, stream);
}
