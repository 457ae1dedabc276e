// SPDX-License-Identifier: GPL-2.0-only
import { HostError } from '../../base/index.ts';

/** The refusal of a partition table: structure, place and field. */
export function damagedTable(
  structure: string,
  byte: number,
  field: string,
  found: number | string,
  expected: string,
): HostError {
  return new HostError({
    code: 'image.damaged-partition-table',
    message: `${structure}: ${field} is ${String(found)}, expected ${expected}`,
    where: `${structure}, byte ${String(byte)}, field ${field}`,
    hint: 'Look at a copy of the image with sfdisk --verify, and repair it with gdisk or sfdisk.',
    exitCode: 65,
    data: { structure, byte, field, found, expected },
  });
}
