// SPDX-License-Identifier: GPL-2.0-only
/** Verification with scripted parts: what is missing is told and is no failure, what fails is thrown, giving up is heard. */
import { describe, expect, it } from 'vitest';
import { HostError } from '../../engine/base/index.ts';
import type { VerifyEvent, VerifyResult } from '../contract/grounds.ts';
import type { MountedComparison } from '../host/messages.ts';
import { comparisonOf, Verify, type VerifyParts } from './verify.ts';

const SAME: MountedComparison = {
  files: 2,
  bytes: 10,
  others: 0,
  unread: 0,
  differences: 0,
  first: null,
};
const CLEAN = { tool: 'e2fsck', meaning: 'no errors', state: 'clean', output: 'all well' };

interface Script {
  readonly fsck?: () => Promise<unknown>;
  readonly fileSystemId?: string;
  readonly compare?: (signal: AbortSignal) => Promise<MountedComparison>;
}
const kept: [string, VerifyResult][] = [];
function scripted({ fsck, fileSystemId = 'ext4', compare }: Script): Verify {
  const parts = {
    workbench: {
      fsck: fsck ?? (() => Promise.resolve(CLEAN)),
      rangeOf: () => Promise.resolve({ fileSystemId, range: null }),
    },
    runs: {
      alone: (work: () => Promise<unknown>) => work(),
      keepVerify: (id: string, result: VerifyResult) => {
        kept.push([id, result]);
        return Promise.resolve();
      },
    },
    journal: {
      entry: (id: string) =>
        Promise.resolve({
          intent: { experiment: { target: { path: '/a.img' } } },
          isOwnerAlive: id === 'running0',
        }),
    },
    targets: { pathOf: ({ path }: { path: string }) => path },
    holder: {
      receiveParts: (_call: unknown, _onPart: unknown, signal: AbortSignal) =>
        compare === undefined ? Promise.resolve(SAME) : compare(signal),
    },
    cacheFolder: '/nowhere',
  };
  return new Verify(parts as unknown as VerifyParts);
}
async function resultOf(stream: AsyncIterable<VerifyEvent>): Promise<VerifyResult> {
  for await (const event of stream) if (event.kind === 'done') return event.result;
  throw new Error('no result');
}
const ASK = { path: '/a.img', partition: null, runId: null };
const failing = (code: string): (() => Promise<never>) => {
  return () => Promise.reject(new HostError({ code, message: 'not here', hint: 'Get it.' }));
};

describe('verification', () => {
  it('tells both results, and keeps them with the run that was named', async () => {
    const result = await resultOf(scripted({}).run({ ...ASK, runId: 'finished0' }));
    expect(result.fsck).toEqual({ state: 'clean', text: 'e2fsck: no errors', output: 'all well' });
    expect(result.comparison).toMatchObject({ state: 'equal', files: 2, bytes: 10 });
    expect(kept).toEqual([['finished0', result]]);
  });
  it.each(['helper.missing', 'helper.r6', 'loop.no-mount', 'host.no-syscalls'])(
    'says why nothing was compared: %s',
    async (code) => {
      const { comparison, fsck } = await resultOf(scripted({ compare: failing(code) }).run(ASK));
      expect(comparison).toMatchObject({ state: 'not-run', text: 'not here. Get it.' });
      expect(fsck.state).toBe('clean');
    },
  );
  it('goes on without a checker, and does not ask the helper for FAT', async () => {
    const compare = (): Promise<never> => Promise.reject(new Error('was asked'));
    const verify = scripted({
      fsck: failing('host.missing-program'),
      fileSystemId: 'fat32',
      compare,
    });
    const { comparison, fsck } = await resultOf(verify.run(ASK));
    expect(fsck).toEqual({ state: 'not-run', text: 'not here. Get it.', output: '' });
    expect(comparison.text).toContain('This is fat32');
  });
  it('throws what is a failure, but for a damaged image', async () => {
    const compare = failing('image.damaged');
    await expect(resultOf(scripted({ compare }).run(ASK))).rejects.toThrow('not here');
    const fsck = (): Promise<unknown> => Promise.resolve({ ...CLEAN, state: 'damaged' });
    const { comparison } = await resultOf(scripted({ compare, fsck }).run(ASK));
    expect(comparison.state).toBe('not-run');
  });
  it.each([
    [{ path: '/b.img', runId: 'finished0' }, 'verify.other-image'],
    [{ partition: 2, runId: 'finished0' }, 'verify.other-image'],
    [{ runId: 'running0' }, 'run.not-ended'],
    [{ path: 'a.img' }, 'image.bad-path'],
  ])('refuses %j', async (change, code) => {
    const asked = resultOf(scripted({}).run({ ...ASK, ...change }));
    await expect(asked).rejects.toMatchObject({ code });
  });
  it('gives up when its reader goes', async () => {
    let heard = false;
    const compare = (signal: AbortSignal): Promise<never> =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          heard = true;
          reject(new HostError({ code: 'call.aborted', message: 'given up' }));
        });
      });
    for await (const event of scripted({ compare }).run(ASK)) {
      expect(event.kind).toBe('progress');
      break;
    }
    expect(heard).toBe(true);
  });
});

describe('the words of a comparison', () => {
  it('name the first difference, how many there are, and what was left out', () => {
    const first = { file: '/a', offsetBytes: 4097, what: 'the kernel reads 0x01, the engine 0x02' };
    const { text, state } = comparisonOf({ ...SAME, others: 1, unread: 2, differences: 3, first });
    expect(state).toBe('different');
    expect(text).toBe(
      '/a at byte 4097: the kernel reads 0x01, the engine 0x02; 3 entries differ (of 2 files of 10 bytes) (1 link or device left out, 2 entries that may not be read).',
    );
  });
  it('say what was left out where all is the same', () => {
    expect(comparisonOf({ ...SAME, files: 1, others: 2 }).text).toBe(
      "The kernel's own mount and the engine read the same: 1 file of 10 bytes (2 links and devices left out).",
    );
  });
});
