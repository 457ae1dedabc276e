// SPDX-License-Identifier: GPL-2.0-only
import { afterEach, describe, expect, it } from 'vitest';
import { commandFor, keyOf, searchCommands, type Command } from './commands.ts';

const command = (id: string, keys: string[], isGlobal = false): Command => ({
  id, title: `Title of ${id}`, group: 'Group', keys, isGlobal, why: () => null, run: () => undefined,
}); // prettier-ignore
const press = (key: string, change: KeyboardEventInit = {}): KeyboardEvent =>
  new KeyboardEvent('keydown', { key, bubbles: true, ...change });

afterEach(() => {
  document.body.replaceChildren();
});

describe('keys', () => {
  it('have names', () => {
    expect(keyOf(press('Enter', { ctrlKey: true }))).toBe('Ctrl+Enter');
    expect(keyOf(press('z', { ctrlKey: true, shiftKey: true }))).toBe('Ctrl+Shift+Z');
    expect(keyOf(press('?', { shiftKey: true }))).toBe('?');
    expect(keyOf(press('k', { metaKey: true }))).toBe('Ctrl+K');
    expect(keyOf(press('Escape'))).toBe('Esc');
  });
  it('belong to a text field first, unless the command is global', () => {
    const field = document.createElement('input');
    document.body.append(field);
    const commands = [command('undo', ['Ctrl+Z']), command('run', ['Ctrl+Enter'], true)];
    let found: Command | null = null;
    field.addEventListener('keydown', (event) => {
      found = commandFor(commands, event);
    });
    field.dispatchEvent(press('z', { ctrlKey: true }));
    expect(found).toBeNull();
    field.dispatchEvent(press('Enter', { ctrlKey: true }));
    expect(found).toMatchObject({ id: 'run' });
  });
  it('belong to an open dialog', () => {
    const dialog = document.createElement('div');
    dialog.setAttribute('role', 'dialog');
    document.body.append(dialog);
    expect(commandFor([command('stop', ['Esc'], true)], press('Escape'))).toBeNull();
  });
});

describe('the palette', () => {
  it('finds by any words and puts beginnings first', () => {
    const commands = [
      command('b', []),
      { ...command('a', []), title: 'Run it' },
      { ...command('c', []), title: 'To the run' },
    ];
    expect(searchCommands(commands, 'run').map((each) => each.id)).toEqual(['a', 'c']);
    expect(searchCommands(commands, 'group title')).toHaveLength(1);
    expect(searchCommands(commands, '')).toHaveLength(3);
  });
});
