// SPDX-License-Identifier: GPL-2.0-only
/** How plain files of runs without the engine are called: for those who make them, and for those who find what a killed run left. */

/** Twelve hexadecimal digits follow. */
export const PLAIN_FILE_PREFIX = '.diolab-plain-';
