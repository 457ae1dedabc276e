// SPDX-License-Identifier: GPL-2.0-only
/** What the host says of itself: evidence of a run from its counters, and the doctor's facts. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PAGE_BYTES } from '../../engine/base/index.ts';
import { RAW_KIND } from '../../engine/executor/index.ts';
import { hostFacts, nativePorts } from '../../main/host/native/index.ts';
import { directFact } from '../../main/host/native/facts.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'diolab-host-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe('watchHost', () => {
  it('counts what direct reads and writes move, and no growth of the page cache', () => {
    const ports = nativePorts();
    const path = join(folder, 'image');
    writeFileSync(path, new Uint8Array(256 * PAGE_BYTES), { flush: true });
    const image = ports.imageFiles!.open(path, { readOnly: false, direct: true });
    const arena = ports.makeArena(16);
    const { executor } = ports.executors!.open(
      'sync',
      { depth: 1, submitBatch: 1, polled: false },
      arena,
    );
    const once = (kind: number, page: number): void => {
      const slot = executor.takeSlot();
      executor.slots.kind[slot] = kind;
      executor.slots.fd[slot] = image.fd;
      executor.slots.fileOffsetBytes[slot] = page * PAGE_BYTES;
      executor.slots.lengthBytes[slot] = PAGE_BYTES;
      executor.push(slot);
      executor.reap(1, Infinity, (_ended, result) => {
        expect(result).toBe(PAGE_BYTES);
      });
    };
    const finish = ports.watchHost!(path);
    for (let page = 0; page < 64; page++) once(RAW_KIND.read, page);
    for (let page = 0; page < 32; page++) once(RAW_KIND.write, page);
    const evidence = finish();
    executor.close();
    image.close();
    if (image.isDirect) {
      expect(evidence.processReadBytes).toBeGreaterThanOrEqual(64 * PAGE_BYTES);
      expect(evidence.processWriteBytes).toBeGreaterThanOrEqual(32 * PAGE_BYTES);
      if (evidence.deviceName !== null) {
        expect(existsSync(`/sys/class/block/${evidence.deviceName}`)).toBe(true);
        expect(evidence.deviceReadBytes).toBeGreaterThanOrEqual(64 * PAGE_BYTES);
        expect(evidence.deviceWriteBytes).toBeGreaterThanOrEqual(32 * PAGE_BYTES);
      }
      if (evidence.pageCacheGrowthBytes !== null) {
        expect(evidence.pageCacheGrowthBytes).toBeLessThanOrEqual(0);
      }
    }
  });

  it('sees a buffered read grow the page cache', () => {
    const ports = nativePorts();
    const path = join(folder, 'cached');
    writeFileSync(path, new Uint8Array(64 * PAGE_BYTES), { flush: true });
    const finish = ports.watchHost!(path);
    readFileSync(path);
    const { pageCacheGrowthBytes } = finish();
    // Written pages are cached already; what matters is that it never claims shrinking.
    if (pageCacheGrowthBytes !== null) expect(pageCacheGrowthBytes).toBeGreaterThanOrEqual(0);
  });
});

describe('hostFacts', () => {
  it('names each thing once, with values, and a remedy where something is missing', () => {
    const facts = hostFacts(folder);
    const ids = facts.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ['kernel', 'cpu', 'direct', 'executor.io_uring', 'executor.libaio', 'loop']) {
      expect(ids).toContain(id);
    }
    for (const fact of facts) {
      expect(fact.text).toMatch(/\.$/);
      if (fact.state === 'yes') expect(fact.remedy).toBeNull();
    }
    expect(facts.find(({ id }) => id === 'executor.sync')?.state).toBe('yes');
    expect(readdirSync(folder).filter((name) => name.startsWith('.probe'))).toEqual([]);
  });

  it('says why a folder is not direct', () => {
    if (existsSync('/dev/shm')) {
      const shm = mkdtempSync('/dev/shm/diolab-');
      const fact = directFact(shm);
      rmSync(shm, { recursive: true });
      expect(fact).toMatchObject({ state: 'no' });
      expect(fact.text).toContain('tmpfs');
    }
    const fact = directFact('/proc/absent');
    expect(fact).toMatchObject({ state: 'no' });
    expect(fact.remedy).not.toBeNull();
  });
});
