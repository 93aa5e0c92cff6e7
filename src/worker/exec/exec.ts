import type { ExecTask } from '../runtime/runtime.ts';

export interface ExecConfig {
  readonly attachStdin: boolean;
  readonly attachStdout: boolean;
  readonly attachStderr: boolean;
  readonly terminal: boolean;
  readonly detachKeys: string;
  readonly env: readonly string[];
  readonly command: readonly string[];
  readonly privileged: boolean;
  readonly user: string;
  readonly workingDir: string;
  readonly consoleSize?: { readonly height: number; readonly width: number };
}

/** One more process in a container, from its creation until a while after its end. */
export interface Exec {
  readonly id: string;
  readonly containerId: string;
  readonly config: ExecConfig;
  state: 'created' | 'running' | 'ended';
  exitCode: number | undefined;
  pid: number;
  task: ExecTask | undefined;
}
