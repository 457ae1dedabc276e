// SPDX-License-Identifier: GPL-2.0-only
/** Types of tools-table.mjs, for the tests that skip by it. */
export interface Tool {
  readonly id: string;
  readonly programs: readonly string[];
  readonly package: string;
  readonly usedFor: string;
}
export const tools: readonly Tool[];
export function findProgram(name: string): string | null;
export function missingTools(rows?: readonly Tool[]): Tool[];
