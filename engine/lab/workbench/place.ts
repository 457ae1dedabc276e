// SPDX-License-Identifier: GPL-2.0-only
/** Opens a place for one tool, and says what its file system does not know. */
import { HostError } from '../../base/index.ts';
import type { MountedFileSystem } from '../../vfs/index.ts';
import type { LabPorts } from '../door.ts';
import { withFiles } from '../image/open.ts';
import type { RunKernel } from '../kernel.ts';
import type { Place } from '../workbench.ts';

/** A mounted place. */
export interface OpenPlace {
  readonly kernel: RunKernel;
  readonly fileSystem: MountedFileSystem;
  /** In front of where an error happened: the image's path. */
  readonly image: string;
}

/** Mounts the place, works, unmounts, whatever happens. */
export function withPlace<T>(
  ports: LabPorts,
  place: Place,
  readOnly: boolean,
  work: (open: OpenPlace) => T,
): T {
  const inPlace = (fileSystem: MountedFileSystem, kernel: RunKernel): T =>
    work({ fileSystem, kernel, image: place.path });
  return withFiles(ports, place.path, readOnly, inPlace, place.partition);
}

/** A question that this file system has no answer to. */
export function notKnown(open: OpenPlace, what: string): HostError {
  const { moduleId } = open.fileSystem;
  return new HostError({
    code: 'image.not-known',
    message: `${what} is not known for ${moduleId}`,
    where: open.image,
    hint: `diolab map shows the blocks of a file of ${moduleId}, diolab stat what is known of it.`,
    exitCode: 65,
  });
}
