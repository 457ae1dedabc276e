// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the host refused below the modelled kernel, in words. The kernel knows one error of a disk, EIO; the device remembers the first
 * one of the host with its errno and its place, and these give it its name again: to verdicts, and to errors while preparing.
 */
import { ERRNO, errnoName, HostError } from '../base/index.ts';
import type { DeviceFault, OpenDevice } from '../devices/contract.ts';
import { numberText } from './words.ts';

/** A sentence with a space before it; empty where the host refused nothing. */
export function hostFaultText(fault: DeviceFault | null): string {
  if (fault === null) return '';
  const where = `${fault.op} of ${numberText(fault.lengthBytes)} bytes at byte ${numberText(fault.offsetBytes)} of the image`;
  if (fault.isEndOfFile)
    return ` On the host the image file ends before its disk does: ${where} moved nothing.`;
  const errno = errnoName(fault.status) ?? `errno ${String(-fault.status)}`;
  if (fault.isInjected === true) return ` The faulty disk made it ${errno} for a ${where}.`;
  const full = fault.status === -ERRNO.ENOSPC ? ": the host's file system is full" : '';
  return ` On the host it was ${errno} for a ${where}${full}.`;
}

/** The error with the host's own reason behind it; as it is where the host gave none. */
export function withHostFault(error: unknown, opened: OpenDevice): unknown {
  const fault = opened.firstFault?.() ?? null;
  if (fault === null || !(error instanceof HostError)) return error;
  const isFull = fault.status === -ERRNO.ENOSPC && fault.isInjected !== true;
  return new HostError({
    ...error.toJSON(),
    message: `${error.message}.${hostFaultText(fault).replace(/\.$/, '')}`,
    ...(isFull && {
      code: 'host.no-space',
      hint: "Free space on the host's disk, or move the image to another one.",
    }),
  });
}
