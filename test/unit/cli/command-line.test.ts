import { describe, expect, it } from 'vitest';
import { optionFlags, parseArguments } from '#cli/arguments.ts';
import { renderLogLine, wrapLogLine } from '#cli/process/log-line.ts';

describe('arguments', () => {
  it('are a command and its options', () => {
    const parsed = parseArguments(['serve', '--config', 'a.yaml', '--set', 'a=1', '--set=b=2']);
    expect(parsed).toEqual({ command: 'serve', config: 'a.yaml', set: ['a=1', 'b=2'] });
    expect(optionFlags(parsed)).toEqual(['--config', 'a.yaml', '--set', 'a=1', '--set', 'b=2']);
    expect(parseArguments([]).command).toBe('help');
    expect(parseArguments(['serve', '-h']).command).toBe('help');
    expect(parseArguments(['--version']).command).toBe('version');
  });

  it('are refused with exit code 2 when they make no sense', () => {
    for (const argv of [
      ['serve', '--nope'],
      ['serve', 'twice'],
      ['serve', '--config'],
    ]) {
      expect(() => parseArguments(argv)).toThrow(expect.objectContaining({ name: 'Refusal', exitCode: 2 }));
    }
  });
});

describe('log lines', () => {
  const line = JSON.stringify({
    level: 30,
    time: '2025-01-02T03:04:05.678Z',
    role: 'worker',
    msg: 'slow',
    ms: 12,
    what: 'a b',
  });

  it('are rendered for people', () => {
    expect(renderLogLine(line, 'worker')).toBe('03:04:05.678 info  worker   slow ms=12 what="a b"\n');
    expect(renderLogLine('{"level":50,"msg":"broke","err":{"stack":"Error: x\\n  at y"}}', 'worker')).toBe(
      ' error worker   broke\n    Error: x\n      at y\n',
    );
    expect(renderLogLine('Segmentation fault', 'worker')).toBe('worker   Segmentation fault\n');
    expect(renderLogLine('{"half', 'worker')).toBe('worker   {"half\n');
  });

  it('are always JSON for a collector', () => {
    expect(wrapLogLine(line, 'worker')).toBe(`${line}\n`);
    expect(JSON.parse(wrapLogLine('oops', 'registry'))).toMatchObject({
      role: 'registry',
      level: 30,
      msg: 'oops',
    });
  });
});
