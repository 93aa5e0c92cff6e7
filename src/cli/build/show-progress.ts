import type { ProgressSink } from '#worker/build/solve/progress.ts';
import { Refusal } from '../refusal.ts';
import { PlainProgress } from './plain-progress.ts';
import { RawProgress } from './raw-progress.ts';
import { TerminalProgress } from './terminal-progress.ts';

/** Dispose of it when nothing more is told. */
export interface ShownProgress extends Disposable {
  readonly sink: ProgressSink;
}

type Screen = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns' | 'rows'>;

/** What is told goes to `also`, too. Throws `Refusal` for a mode that is none. */
export function showProgress(mode: string, screen: Screen, also: ProgressSink): ShownProgress {
  const write = (text: string) => void screen.write(text);
  const shown = (sink: ProgressSink, end = () => {}) => ({ sink: both(sink, also), [Symbol.dispose]: end });
  if (mode === 'tty' || (mode === 'auto' && screen.isTTY)) {
    const terminal = {
      get columns() {
        return screen.columns || 80;
      },
      get rows() {
        return screen.rows || 24;
      },
      write,
    };
    const progress = new TerminalProgress(terminal);
    return shown(progress, () => progress[Symbol.dispose]());
  }
  if (mode === 'auto' || mode === 'plain') {
    const progress = new PlainProgress(write);
    return shown(progress, () => progress[Symbol.dispose]());
  }
  if (mode === 'rawjson') return shown(new RawProgress(write));
  if (mode === 'quiet') return { sink: also, [Symbol.dispose]: () => {} };
  throw new Refusal(`--progress ${mode}: auto, tty, plain, quiet or rawjson`, { exitCode: 2 });
}

function both(one: ProgressSink, other: ProgressSink): ProgressSink {
  return {
    vertex: (event) => {
      one.vertex(event);
      other.vertex(event);
    },
    status: (event) => {
      one.status(event);
      other.status(event);
    },
    log: (event) => one.log(event),
    warning: (event) => one.warning(event),
  };
}
