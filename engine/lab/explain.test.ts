// SPDX-License-Identifier: GPL-2.0-only
/** Explaining single requests on a device in memory: the words carry the decisions and their numbers. */
import { describe, expect, it } from 'vitest';
import { nanoseconds } from '../base/index.ts';
import { plainArena } from '../memory/index.ts';
import type { LabPorts } from './door.ts';
import { explain } from './explain.ts';
import type { ExplainRequest } from './explanation.ts';

const ports: LabPorts = {
  clock: { nowNs: () => nanoseconds(0) },
  unixMs: () => 0,
  makeArena: plainArena,
  cpuTimes: () => ({ userNs: 0, systemNs: 0 }),
};

const ask = (changes: Partial<ExplainRequest> = {}): ExplainRequest => ({
  target: {
    device: { id: 'memory', options: { sizeKib: 1024 } },
    fileSystem: { id: 'raw', options: {} },
    filePath: null,
    fileSizeBytes: null,
    create: null,
    consentToWrite: false,
  },
  op: 'read',
  offsetBytes: 8192,
  lengthBytes: 16384,
  memoryOffsetBytes: 0,
  isAsync: false,
  isDsync: false,
  revision: '6.4',
  ...changes,
});
const all = (explanation: ReturnType<typeof explain>): string =>
  explanation.steps.map((step) => `${step.title}: ${step.text}`).join('\n');

describe('explain', () => {
  it('tells an aligned read from alignment to result', () => {
    const explanation = explain(ask(), ports);
    expect(explanation.result).toEqual({
      ok: true,
      text: '16\u2009384 bytes read.',
      returned: 16384,
    });
    expect(explanation.counters).toEqual({
      getBlockCalls: 1, bios: 1, bioBytes: 16384, zeroedBytes: 0,
    }); // prettier-ignore
    const text = all(explanation);
    expect(text).toContain('A read of 16\u2009384 bytes at offset 8192 bytes');
    expect(text).toContain('is asked for 4 blocks from file block 2');
    expect(text).toContain('Read of 16\u2009384 bytes at sector 16');
    expect(text).toContain('The bio is finished: the request ends here.');
    expect(text).toContain('16\u2009384 bytes were transferred. The result is 16\u2009384 bytes.');
    const sites = explanation.steps.map((step) => step.site);
    expect(sites).toContain('fs/direct-io.c:get_more_blocks');
    expect(explanation.trace.length).toBeGreaterThan(8);
    expect(explanation.alignment.passes).toBe(true);
  });

  it('tells the fall to the logical block', () => {
    const explanation = explain(ask({ lengthBytes: 512, memoryOffsetBytes: 512 }), ports);
    const text = all(explanation);
    expect(text).toContain(
      "is a multiple of 512 bytes; the file system's block is 4096 bytes: does not pass.",
    );
    expect(text).toContain('The request goes in units of 512 bytes: 8 of them');
    expect(explanation.alignment).toMatchObject({ passes: true, unitBytes: 512 });
  });

  it('tells a refusal, and what would pass', () => {
    const explanation = explain(ask({ offsetBytes: 100 }), ports);
    expect(explanation.result).toMatchObject({ ok: false, returned: 'EINVAL' });
    expect(explanation.counters.bios).toBe(0);
    expect(explanation.alignment.offenders).toEqual(['offset']);
    expect(explanation.alignment.nearest[0]?.offsetBytes).toBe(0);
  });

  it('tells an asynchronous write without asking for consent: the overlay takes it', () => {
    const explanation = explain(ask({ op: 'write', isAsync: true }), ports);
    expect(explanation.result).toMatchObject({
      returned: 16384,
      text: '16\u2009384 bytes written. It was queued and completed later.',
    });
    expect(all(explanation)).toContain('The submitter does not wait for the bios.');
    expect(all(explanation)).toContain('Write of 16\u2009384 bytes at sector 16, SYNC, IDLE');
  });

  it('keeps the story of a large request short, and its result last', () => {
    const explanation = explain(ask({ offsetBytes: 0, lengthBytes: 1 << 20 }), ports);
    expect(explanation.steps.length).toBeLessThan(40);
    expect(explanation.result.returned).toBe(1 << 20);
  });

  it('tells an extending write into a new block of a file system, and where each bug is', () => {
    const target = {
      ...ask().target,
      device: { id: 'memory', options: { sizeKib: 4096 } },
      fileSystem: { id: 'ext2', options: {} },
      filePath: '/data',
      fileSizeBytes: 20000,
    };
    const write = { target, op: 'write' as const, memoryOffsetBytes: 512 };
    const grown = explain(ask({ ...write, offsetBytes: 20480, lengthBytes: 1024 }), ports);
    expect(grown.result.returned).toBe(1024);
    expect(grown.counters.zeroedBytes).toBe(3072);
    expect(all(grown)).toContain('It extends the file: the submitter waits');
    expect(all(grown)).toContain('page 0 of the buffer [512+1024], the zero page [0+3072]');
    const stopped = explain(
      ask({
        ...write,
        offsetBytes: 0,
        memoryOffsetBytes: 3584,
        lengthBytes: 512,
        revision: '2.6.31-pages',
      }),
      ports,
    );
    expect(stopped.result).toMatchObject({ ok: false, returned: 'BUG: vector outside its page' });
    expect(stopped.steps.at(-1)?.title).toBe('The kernel stopped here');
  });

  it('refuses a revision that is not there', () => {
    expect(() => explain(ask({ revision: '9.9' }), ports)).toThrow('no direct-I/O revision');
  });
});
