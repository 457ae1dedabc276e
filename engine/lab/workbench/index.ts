// SPDX-License-Identifier: GPL-2.0-only
/** The tools of the image workbench. Each call mounts the place, does one thing, and unmounts. */
import type { WorkbenchTools } from '../workbench.ts';
import { layOutRecipe } from './lay-out.ts';
import { fragmentation, imageLayout } from './layout.ts';
import { blockBytes, placeFacts, previewBytes } from './look.ts';
import { makeFolder, removeEntry, renameEntry } from './namespace.ts';
import { withPlace } from './place.ts';
import { putTree } from './transfer-in.ts';
import { getTree } from './transfer-out.ts';

export const workbenchTools: WorkbenchTools = {
  stat: (ports, place, file) =>
    withPlace(ports, place, true, (open) => open.kernel.runTask('stat', placeFacts(open, file))),

  layout: (ports, place) =>
    withPlace(ports, place, true, (open) => open.kernel.runTask('layout', imageLayout(open))),

  fragmentation: (ports, place) =>
    withPlace(ports, place, true, (open) =>
      open.kernel.runTask('fragmentation', fragmentation(open)),
    ),

  block: (ports, place, deviceBlock) =>
    withPlace(ports, place, true, (open) =>
      open.kernel.runTask('block', blockBytes(open, deviceBlock)),
    ),

  preview: (ports, place, file, offsetBytes, lengthBytes) =>
    withPlace(ports, place, true, (open) =>
      open.kernel.runTask('preview', previewBytes(open, file, offsetBytes, lengthBytes)),
    ),

  makeFolder(ports, place, folder) {
    withPlace(ports, place, false, (open) => {
      open.kernel.runTask('make folder', makeFolder(open, folder));
    });
  },

  remove: (ports, place, file) =>
    withPlace(ports, place, false, (open) =>
      open.kernel.runTask('remove', removeEntry(open, file)),
    ),

  rename(ports, place, from, to) {
    withPlace(ports, place, false, (open) => {
      open.kernel.runTask('rename', renameEntry(open, from, to));
    });
  },

  getTree: (ports, place, file, onPart) =>
    withPlace(ports, place, true, (open) =>
      open.kernel.runTask('copy out', getTree(open, file, onPart)),
    ),

  putTree: (ports, place, file, nextPart) =>
    withPlace(ports, place, false, (open) =>
      open.kernel.runTask('copy in', putTree(open, file, nextPart)),
    ),

  layOut: (ports, place, recipe, onPart) =>
    withPlace(ports, place, false, (open) =>
      open.kernel.runTask('lay out', layOutRecipe(open, recipe, onPart)),
    ),
};
