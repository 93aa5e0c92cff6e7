import { describe, expect, it } from 'vitest';
import { applyChanges } from '#worker/build/frontend/apply-changes.ts';

describe('commit and import changes', () => {
  it('apply to a configuration', () => {
    const changed = applyChanges({ Env: ['A=1'], Cmd: ['old'] }, [
      'ENV B=$A',
      'ENTRYPOINT ["x"]',
      'CMD echo "a b"\nEXPOSE 80',
      'label k="v w"',
    ]);
    expect(changed).toEqual({
      Env: ['A=1', 'B=1'],
      Entrypoint: ['x'],
      Cmd: ['/bin/sh', '-c', 'echo "a b"'],
      ExposedPorts: { '80/tcp': {} },
      Labels: { k: 'v w' },
    });
  });

  it.each(['RUN x', 'COPY a b', 'ADD a b', 'ARG x', 'SHELL ["x"]'])('refuse %s', (change) => {
    expect(() => applyChanges({}, [change])).toThrow('is not a valid change command');
  });

  it('say what is wrong', () => {
    expect(() => applyChanges({}, ['FOO x'])).toThrow('unknown instruction: FOO');
    expect(() => applyChanges({}, ['FROM x'])).toThrow("FROM isn't allowed here");
  });

  it('leave what they do not speak of', () => {
    const config = { Hostname: 'h', ArgsEscaped: true, Volumes: { '/v': {} }, Cmd: ['x'] } as const;
    expect(applyChanges(config, [])).toBe(config);
    expect(applyChanges(config, ['WORKDIR sub', 'ENTRYPOINT []', 'ONBUILD RUN y'])).toEqual({
      Hostname: 'h',
      ArgsEscaped: true,
      Volumes: { '/v': {} },
      WorkingDir: '/sub',
      OnBuild: ['RUN y'],
    });
  });
});
