// SPDX-License-Identifier: GPL-2.0-only
/** The manual page and the completions: every command and option is in them, and their own tools read them. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeProgram } from '../program.ts';
import { SHELLS } from '../reference-commands.ts';
import type { Terminal } from '../terminal.ts';
import { completionText } from './completions.ts';
import { manualText } from './manual.ts';
import { allCommands, wordsOf } from './words.ts';

const terminal: Terminal = {
  version: '9.8.7',
  out: () => Promise.resolve(),
  error: () => undefined,
  isInteractive: false,
  columns: 80,
  hasColours: false,
  signal: new AbortController().signal,
  endAtSignals: () => undefined,
  session: () => Promise.reject(new Error('no session is needed')),
};
const program = makeProgram(terminal, () => undefined);
const words = wordsOf(program);
const commands = [...allCommands(words)];
const hasProgram = (name: string): boolean =>
  spawnSync(name, ['--version'], { stdio: 'ignore' }).error === undefined;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-reference-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const written = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

describe('the words of the program', () => {
  it('reach into commands of commands, and leave hidden ones out', () => {
    const paths = commands.map(({ path }) => path.join(' '));
    expect(paths).toContain('loop attach');
    expect(paths).toContain('snapshot restore');
    expect(paths).not.toContain('man');
    expect(new Set(paths).size).toBe(paths.length);
  });
});

describe('the manual page', () => {
  const page = manualText(program, '9.8.7');
  const plain = page.replaceAll('\\-', '-').replace(/\\f[BIR]/g, '');
  it('names every command with every option and argument', () => {
    for (const command of commands) {
      const head = `\\.SS ${['diolab', ...command.path].join(' ')}`;
      const start = command.path.length === 0 ? 0 : plain.search(new RegExp(`^${head}( |$)`, 'm'));
      expect(start, head).toBeGreaterThanOrEqual(0);
      const end = command.path.length === 0 ? plain.length : plain.indexOf('\n.S', start + 1);
      const part = plain.slice(start, end);
      for (const { long } of command.options) {
        if (long !== '--help' || command.path.length === 0) expect(part, head).toContain(long);
      }
      for (const { name } of command.arguments) expect(part).toContain(name);
    }
    expect(plain).toContain('130');
  });
  it.runIf(hasProgram('man') && hasProgram('groff'))('is rendered without a warning', () => {
    const path = written('diolab.1', page);
    const shown = spawnSync('man', ['-l', '--warnings=w', path], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '80', MAN_KEEP_FORMATTING: '0' },
    });
    expect(shown.stderr).toBe('');
    expect(shown.status).toBe(0);
    const text = shown.stdout.replace(/\u001b\[[0-9;]*m|.\u0008/g, '');
    expect(text).toMatch(/diolab - a disk lab/);
    expect(text).toMatch(/diolab loop attach image/);
    expect(text).toMatch(/^ +0 {2,}Ok\./m);
  });
});

describe('completions', () => {
  it.each(SHELLS)('of %s name every command and option', (shell) => {
    const text = completionText(program, shell);
    for (const { path, options } of commands) {
      expect(text).toContain(path.at(-1) ?? 'diolab');
      for (const { long } of options) {
        expect(text).toContain(shell === 'fish' ? `-l ${long.slice(2)}` : long);
      }
    }
  });
  it.each(SHELLS)('are read by %s where it is installed', (shell) => {
    const path = written(`diolab.${shell}`, completionText(program, shell));
    if (hasProgram(shell)) execFileSync(shell, ['-n', path]);
    else expect(shell).not.toBe('bash');
  });

  /** What bash offers for a line, as its completion would be called. */
  const offered = (...line: string[]): string[] => {
    const path = written('diolab.bash', completionText(program, 'bash'));
    const script = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _diolab; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const out = execFileSync('bash', ['-c', script, 'bash', path, ...line], { encoding: 'utf8' });
    return out.split('\n').filter((word) => word !== '');
  };
  it('offer commands, options of the place, and choices; files are left to the shell', () => {
    expect(offered('diolab', '')).toContain('verify');
    expect(offered('diolab', 'lo')).toEqual(['loop']);
    expect(offered('diolab', 'loop', '').sort()).toEqual(['attach', 'clean', 'detach', 'list']);
    expect(offered('diolab', 'loop', 'attach', '--s')).toEqual(['--sector-size']);
    expect(offered('diolab', 'loop', 'attach', '--sector-size', '4')).toEqual(['4096']);
    expect(offered('diolab', 'export', 'last', '--format', 'blk')).toEqual(['blkparse']);
    expect(offered('diolab', 'completion', 'z')).toEqual(['zsh']);
    expect(offered('diolab', 'verify', '')).toEqual([]);
    expect(offered('diolab', 'verify', 'disk.img', '--run', '')).toEqual([]);
    // An argument that is called like a command is none.
    expect(offered('diolab', 'run', 'loop', '')).toEqual([]);
  });
});
