// SPDX-License-Identifier: GPL-2.0-only
/** Everything that can be done from the keyboard, as one list: the palette, the key list and the key handler read it. */
import type { IconName } from '../components/base/icons.ts';

export interface Command {
  readonly id: string;
  readonly title: string;
  readonly group: string;
  readonly icon?: IconName;
  /** As `keyOf` writes them: 'Ctrl+Enter'. The first is shown. */
  readonly keys: readonly string[];
  /** True: works while a text field has the focus, too. */
  readonly isGlobal?: boolean;
  /** Why it cannot be done now; null: it can. */
  readonly why: () => string | null;
  readonly run: () => void;
}

/** A key press as text: 'Ctrl+Shift+Z', '?', 'Esc'. The command key of a Mac counts as Ctrl. */
export function keyOf(
  event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey'>,
): string {
  const names: Readonly<Record<string, string>> = { Escape: 'Esc', ' ': 'Space' };
  const single = event.key.length === 1;
  const key = names[event.key] ?? (single ? event.key.toUpperCase() : event.key);
  const isLetter = single && /[a-z0-9]/i.test(event.key);
  return [
    event.ctrlKey || event.metaKey ? 'Ctrl' : '',
    event.altKey ? 'Alt' : '',
    event.shiftKey && (isLetter || !single) ? 'Shift' : '',
    key,
  ]
    .filter((part) => part !== '')
    .join('+');
}

const isTextField = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable ||
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement ||
    (target instanceof HTMLInputElement && !['checkbox', 'radio', 'range'].includes(target.type)));

/** The command that a key press means, or null. Esc belongs to whatever is open over the page first. */
export function commandFor(commands: readonly Command[], event: KeyboardEvent): Command | null {
  const key = keyOf(event);
  const found = commands.find((command) => command.keys.includes(key));
  if (found === undefined || event.defaultPrevented) return null;
  if (isTextField(event.target) && found.isGlobal !== true) return null;
  const isOverlaid = document.querySelector('[role="dialog"], [role="menu"]') !== null;
  return isOverlaid && found.id !== 'palette' ? null : found;
}

/** Commands whose title has the words asked for, in any order; better matches first. */
export function searchCommands(commands: readonly Command[], text: string): readonly Command[] {
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  if (words.length === 0) return commands;
  const rank = (command: Command): number => {
    const title = `${command.title} ${command.group}`.toLowerCase();
    if (!words.every((word) => title.includes(word))) return -1;
    return command.title.toLowerCase().startsWith(words[0] as string) ? 2 : 1;
  };
  return commands
    .map((command) => ({ command, score: rank(command) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .map(({ command }) => command);
}
