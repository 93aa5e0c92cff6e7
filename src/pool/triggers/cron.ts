import { Cron } from 'croner';
import { invalid } from '#errors/errors.ts';

/**
 * The next time after `moment` (milliseconds since 1970) that a cron line of five parts means, in a time zone. Times that
 * a change of the clocks leaves out are moved, those that it has twice are taken once. Throws `invalid`.
 */
export function nextTime(cron: string, timeZone: string, moment: number): number {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
  } catch {
    throw invalid(`there is no time zone ${JSON.stringify(timeZone)}`);
  }
  let next: Date | null;
  try {
    next = new Cron(cron, { timezone: timeZone, paused: true, mode: '5-part' }).nextRun(new Date(moment));
  } catch (error) {
    throw invalid(`${JSON.stringify(cron)} is no cron line: ${String(error).replace(/^\w+: /, '')}`);
  }
  if (!next) throw invalid(`${JSON.stringify(cron)} means no time that comes`);
  return next.getTime();
}
