// SPDX-License-Identifier: GPL-2.0-only
/** A run from an image: the experiment's target for a file of it. Pure. */
import type { Catalogue, Place, Target } from '../../../main/contract/index.ts';

/** The target without a partition; the key is absent then, not null. */
export function withPartition(target: Target, partition: number | null): Target {
  const whole: Record<string, unknown> = { ...target };
  delete whole['partition'];
  return (partition === null ? whole : { ...whole, partition }) as unknown as Target;
}
/** The file is taken as it is (a new one where none is named); nothing is made first and no consent is carried over. */
export function targetOf(catalogue: Catalogue | null, place: Place, file: string | null): Target {
  // A device that stands on another one has a path, too; the image itself is a disk of its own.
  const device = catalogue?.devices.find(
    ({ options }) =>
      options['below'] === undefined &&
      Object.values(options).some((field) => field.type === 'path'),
  );
  const option = Object.entries(device?.options ?? {}).find(([, field]) => field.type === 'path');
  return {
    device: { id: device?.id ?? 'image-file', options: { [option?.[0] ?? 'path']: place.path } },
    ...(place.partition !== null && { partition: place.partition }),
    fileSystem: { id: 'auto', options: {} },
    filePath: file,
    fileSizeBytes: null,
    create: null,
    consentToWrite: false,
  };
}
