// SPDX-License-Identifier: GPL-2.0-only
/** Types of start.mjs, as much of it as tests take. */
export function electronProgram(): string | null;
