// SPDX-License-Identifier: GPL-2.0-only
/** A run from an image: the experiment's target for a file of it. Pure. */
import type { Catalogue, Place, Target } from '../../../main/contract/index.ts';

/** What of the target changes; the file is taken as it is, nothing is made first and no consent is carried over. */
export function targetOf(
  catalogue: Catalogue | null,
  place: Place,
  file: string | null,
): Partial<Target> {
  const device = catalogue?.devices.find(({ options }) =>
    Object.values(options).some((field) => field.type === 'path'),
  );
  const option = Object.entries(device?.options ?? {}).find(([, field]) => field.type === 'path');
  return {
    device: { id: device?.id ?? 'image-file', options: { [option?.[0] ?? 'path']: place.path } },
    fileSystem: { id: 'auto', options: {} },
    filePath: file,
    fileSizeBytes: null,
    create: null,
    consentToWrite: false,
  };
}
