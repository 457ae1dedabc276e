// SPDX-License-Identifier: GPL-2.0-only
/** Failures of a command: as text of three parts (what, where, hint), and as an exit code of product.md. */
import type { HostErrorData } from '../../engine/base/index.ts';

export const EXIT = {
  ok: 0,
  mismatch: 1,
  usage: 64,
  data: 65,
  noInput: 66,
  software: 70,
  cannotCreate: 73,
  io: 74,
  permission: 77,
  configuration: 78,
  interrupted: 130,
} as const;

/** Lines for stderr: what is wrong, where, and what would be right. */
export function errorText(error: HostErrorData): string {
  const lines = [`diolab: ${error.message}`];
  if (error.where !== undefined && !error.message.includes(error.where)) {
    lines.push(`  where: ${error.where}`);
  }
  if (error.hint !== undefined) lines.push(`  hint:  ${error.hint}`);
  return `${lines.join('\n')}\n`;
}

export const exitCodeOf = (error: HostErrorData): number => error.exitCode ?? EXIT.io;
