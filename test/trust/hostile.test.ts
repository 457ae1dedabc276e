// SPDX-License-Identifier: GPL-2.0-only
/** Damaged and hostile images of every file system: an answer or a refusal by name, in bounds of time, memory and the image. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeUnless, missingReason } from '../support/tools.ts';
import { hostileSuite } from './hostile.ts';
import { casesOf, imageFolder, SEED, sizeOf } from './images.ts';
import { recordResult } from './results.ts';

const IMAGES = sizeOf('DIOLAB_HOSTILE_IMAGES', 30);
const FROM = sizeOf('DIOLAB_HOSTILE_FROM', 0);
const MINUTES = sizeOf('DIOLAB_TRUST_MINUTES', 60);
const MEMORY_MIB_MAX = 256;

let folder: ReturnType<typeof imageFolder>;
beforeAll(() => {
  folder = imageFolder('hostile');
});
afterAll(() => {
  folder.remove();
});

describe(`hostile images, seed ${String(SEED)} (repeat with DIOLAB_SEED=${String(SEED)})`, () => {
  for (const { adapter, variant, name } of casesOf('hostile')) {
    const needed = variant.mkfs === null ? [] : adapter.tools;
    describeUnless(missingReason(needed), name, () => {
      it(`${String(IMAGES)} mutations: an answer or a refusal by name`, () => {
        const report = hostileSuite({
          adapter,
          variant,
          seed: SEED,
          images: IMAGES,
          from: FROM,
          path: join(folder.path, 'hostile.img'),
          untilMs: Date.now() + MINUTES * 60_000,
        });
        if (report.images > 50) {
          expect(report.mounted).toBeGreaterThan(report.images / 10);
          expect(report.refused).toBeGreaterThan(report.images / 50);
        }
        expect(report.memoryMib).toBeLessThan(MEMORY_MIB_MAX);
        recordResult('hostile', name, report.images, { ...report });
      });
    });
  }
});
