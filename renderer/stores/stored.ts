// SPDX-License-Identifier: GPL-2.0-only
/** Small values kept in the browser's storage under 'diolab.'. Storage may be forbidden or full: then nothing is kept, and that is all. */

/** The stored value, or null where there is none or it cannot be read. */
export function readStored(key: string): unknown {
  try {
    const text = window.localStorage.getItem(`diolab.${key}`);
    return text === null ? null : (JSON.parse(text) as unknown);
  } catch {
    return null; // forbidden storage, or text of another version: as if nothing were stored
  }
}
/** False where the browser refused. */
export function writeStored(key: string, value: unknown): boolean {
  try {
    window.localStorage.setItem(`diolab.${key}`, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
