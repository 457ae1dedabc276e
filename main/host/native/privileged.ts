// SPDX-License-Identifier: GPL-2.0-only
/** What the engine process can do through the privileged helper beyond runs, as one part of the engine thread. */
import type { PrivilegedTools } from '../serve-thread.ts';
import { compareMounted } from './compare-mounted.ts';
import { attachHeld, detachHeld, listHeld } from './held-loops.ts';

export const privilegedTools: PrivilegedTools = {
  attach: attachHeld,
  detach: detachHeld,
  held: listHeld,
  compareMounted,
};
