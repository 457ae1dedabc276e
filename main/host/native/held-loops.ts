// SPDX-License-Identifier: GPL-2.0-only
/**
 * Loop devices that are kept attached on somebody's wish: the image stays open and locked, the helper's session stays open, and both go
 * with the process.
 *
 *   attach --image opened and locked, helper: ATTACH, our descriptor closed--> held --detach--> gone
 *                                                                               | the helper ended, or this process did
 *                                                                               v
 *                                                                             gone (the kernel clears it with its last descriptor)
 *
 * Rules: 1. Only what is in the table is ever detached. 2. The device's own descriptor is exclusive and is closed at once, so that the
 * person may use the device; the helper keeps one of its own. 3. A device whose helper ended is forgotten at the next look.
 */
import { closeSync, fstatSync } from 'node:fs';
import { HostError } from '../../../engine/base/index.ts';
import type { OpenImage } from '../../../engine/devices/contract.ts';
import type { HeldLoop, HeldLoopAsk } from '../messages.ts';
import type { AttachedLoop, HelperSession } from './helper-session.ts';
import { imageFiles } from './image-files.ts';
import { loopDevicesOf } from './in-use.ts';
import { loopState } from './loop-state.ts';
import { closeHelperSession, helperSession, namedForImage } from './loops.ts';

interface Held {
  readonly device: string;
  readonly handle: bigint;
  readonly helper: HelperSession;
  readonly image: OpenImage;
  readonly attached: AttachedLoop;
}
const table = new Map<string, Held>();

const hasEnded = (error: unknown): boolean =>
  error instanceof HostError && error.code === 'helper.ended';

/** True while the kernel has this very image behind this very device. */
const isAttached = ({ device, image }: Held): boolean =>
  loopDevicesOf(fstatSync(image.fd, { bigint: true })).includes(device.slice('/dev/'.length));

/** Lets the images of devices go that are no more: their helper was ended from outside. */
function forgetLost(): void {
  for (const [device, held] of table) {
    if (isAttached(held)) continue;
    table.delete(device);
    held.image.close();
  }
}

/** As the kernel says now; what it does not show is as it was read back at the start. */
function infoOf({ device, image, attached }: Held): HeldLoop {
  const state = loopState(device);
  return {
    device,
    imagePath: image.path,
    sectorBytes: state?.sectorBytes ?? attached.sectorBytes,
    hasDirectIo: state?.hasDirectIo ?? attached.isDirect,
    isReadOnly: state?.isReadOnly ?? attached.isReadOnly,
    sizeBytes: state?.sizeBytes ?? attached.sizeBytes,
  };
}

/** By the session that is open; by a new one where that has ended. */
function attachWithHelper(
  fd: number,
  ask: HeldLoopAsk,
): { readonly helper: HelperSession; readonly attached: AttachedLoop } {
  const wasOpen = table.size > 0;
  const helper = helperSession();
  try {
    return { helper, attached: helper.attach(fd, ask) };
  } catch (error) {
    if (!hasEnded(error)) throw error;
    closeHelperSession();
    // Without devices of an older session this one was just refused by the person: they are not asked twice.
    if (!wasOpen) throw error;
    const next = helperSession();
    return { helper: next, attached: next.attach(fd, ask) };
  }
}

export function attachHeld(ask: HeldLoopAsk): HeldLoop {
  forgetLost();
  // Without O_DIRECT: the loop driver would take it from the descriptor and turn its direct I/O on unasked.
  const image = imageFiles.open(ask.path, { readOnly: ask.readOnly, direct: false });
  try {
    const { helper, attached } = attachWithHelper(image.fd, ask);
    closeSync(attached.fd);
    const device = `/dev/loop${String(attached.number)}`;
    const held: Held = { device, handle: attached.handle, helper, image, attached };
    table.set(device, held);
    return infoOf(held);
  } catch (error) {
    image.close();
    throw namedForImage(error, ask.path);
  }
}

/** False: it is not held here. Throws 'helper.busy' where somebody uses it: then it stays. */
export function detachHeld(device: string): boolean {
  forgetLost();
  const held = table.get(device);
  if (held === undefined) return false;
  try {
    held.helper.detach(held.handle);
  } catch (error) {
    // A helper that ended has let go of it already.
    if (!hasEnded(error)) throw namedForImage(error, device);
    closeHelperSession();
  }
  table.delete(device);
  held.image.close();
  return true;
}

export function listHeld(): HeldLoop[] {
  forgetLost();
  return [...table.values()].map(infoOf);
}
