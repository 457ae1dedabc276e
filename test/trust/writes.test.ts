// SPDX-License-Identifier: GPL-2.0-only
/**
 * Random operation lists, all pairs and sampled triples, on every writable file system: after each the file system's own checker finds
 * nothing, the content is the model's, and what the kernel mounts has the same bytes (sampled).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Sfc32 } from '../../engine/base/index.ts';
import { FileSystemLab } from '../support/file-system-lab.ts';
import { describeUnless, missingReason } from '../support/tools.ts';
import { casesOf, freshImage, imageFolder, isWritable, SEED, sizeOf } from './images.ts';
import { whyNoMount, withMount } from './mounted.ts';
import { recordResult } from './results.ts';
import {
  ModelledRun,
  operationLists,
  sameBytes,
  verifyFiles,
  type OperationName,
} from './workload.ts';

const LISTS = sizeOf('DIOLAB_WRITE_LISTS', 3);
const MINUTES = sizeOf('DIOLAB_TRUST_MINUTES', 60);
const MOUNT_EVERY = 40;
const ARENA_PAGES = 2048;
/** Every list begins with these, so that there is something to change. */
const PREFIX: readonly OperationName[] = [
  'create',
  'write-buffered',
  'write-direct',
  'make-folder',
  'create',
  'extend',
];

let folder: ReturnType<typeof imageFolder>;
beforeAll(() => {
  folder = imageFolder('writes');
});
afterAll(() => {
  folder.remove();
});

describe(`operation lists, seed ${String(SEED)} (repeat with DIOLAB_SEED=${String(SEED)})`, () => {
  for (const { adapter, variant, name } of casesOf('writes').filter((one) =>
    isWritable(one.adapter),
  )) {
    describeUnless(missingReason(adapter.tools), name, () => {
      it(`${String(LISTS)} lists: the checker is content, and the content is the model's`, () => {
        const path = join(folder.path, 'writes.img');
        const untilMs = Date.now() + MINUTES * 60_000;
        const fresh = freshImage(adapter, variant, path);
        const counts = { lists: 0, operations: 0, mounted: 0, full: 0 };
        const lists = operationLists(LISTS, new Sfc32(SEED));
        for (const [index, list] of lists.entries()) {
          if (Date.now() > untilMs) break;
          const where = `list ${String(index)}: ${list.join(', ')}`;
          const random = new Sfc32(SEED, index);
          const lab = new FileSystemLab(fresh.slice(), {
            arenaPages: ARENA_PAGES,
            inline: index % 2 === 0,
          });
          try {
            const run = new ModelledRun(lab, lab.mount(adapter.moduleId), random);
            for (const operation of [...PREFIX, ...list]) run.apply(operation);
            lab.unmount(run.fileSystem);
            writeFileSync(path, lab.disk.bytes);
            const verdict = adapter.fsck(path);
            if (!verdict.isClean) throw new Error(verdict.text);
            const again = lab.mount(adapter.moduleId);
            verifyFiles(lab, again, run.files);
            lab.unmount(again);
            counts.full += run.noSpaceCount;
            const { mountType } = adapter;
            if (mountType !== null && whyNoMount() === null && index % MOUNT_EVERY === 0) {
              const isThere = withMount(path, mountType, folder.path, true, (mounted) => {
                for (const [inside, content] of run.files) {
                  sameBytes(inside, readFileSync(join(mounted, inside)), content);
                }
              });
              if (isThere) counts.mounted++;
            }
          } catch (error) {
            throw new Error(`${name}, seed ${String(SEED)}, ${where}: ${String(error)}`, {
              cause: error,
            });
          }
          counts.lists++;
          counts.operations += PREFIX.length + list.length;
        }
        expect(counts.lists).toBeGreaterThan(0);
        recordResult('writes', name, counts.lists, counts);
      });
    });
  }
});
