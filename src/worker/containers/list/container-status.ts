import { type ContainerState, NEVER } from '../container.ts';

/** `Up 3 seconds (Paused)`, `Exited (0) 5 minutes ago` … as the STATUS column of `docker ps`. */
export function statusText(state: ContainerState, now = Date.now()): string {
  const since = (time: string) => humanDuration(Math.max(0, now - Date.parse(time)));
  switch (state.status) {
    case 'created':
      return 'Created';
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
    case 'restarting':
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'exited':
      return state.finishedAt === NEVER
        ? 'Created'
        : `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'paused':
      return `Up ${since(state.startedAt)} (Paused)`;
    case 'running': {
      const { health } = state;
      if (!health || health.status === 'none') return `Up ${since(state.startedAt)}`;
      const text = health.status === 'starting' ? 'health: starting' : health.status;
      return `Up ${since(state.startedAt)} (${text})`;
    }
  }
}

/** Milliseconds in words, roughly: the rules of Docker's go-units. */
export function humanDuration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(milliseconds / 3_600_000);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(milliseconds / 3_600_000 / 24 / 365)} years`;
}
