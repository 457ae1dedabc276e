// SPDX-License-Identifier: GPL-2.0-only
/** Types of linux-root.mjs for the tests. */
export interface LinuxFile {
  readonly from: string;
  readonly to: string;
  readonly mode?: number;
  readonly need: 'always' | 'helper' | 'wish';
}
export const linuxRoot: string;
export const linuxFiles: readonly LinuxFile[];
export function layOutLinuxRoot(options?: { readonly source?: string; readonly to?: string }): {
  readonly laidOut: readonly string[];
  readonly missing: readonly string[];
};
