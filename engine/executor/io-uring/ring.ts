// SPDX-License-Identifier: GPL-2.0-only
/**
 * Sets up a ring whose memory is ours. IORING_SETUP_NO_MMAP (Linux 6.5) lets the rings and SQEs lie in our arena, NO_SQARRAY
 * (6.6) spares the index array. Before Linux 6.10 each of the two must fit into one page (or a huge page): 64 SQEs and 128 CQEs.
 *
 *   control arena:  page 0: params, getevents argument, timespec | SQEs (whole pages) | rings (whole pages)
 */
import { alignUp, ERRNO, errnoName, PAGE_BYTES, type Arena } from '../../base/index.ts';
import { storeU64 } from '../linux.ts';
import { ExecutorRefusal, type ExecutorHost } from '../ports.ts';
import {
  CQE_BYTES,
  CQ_OFF,
  FEATURE_EXT_ARG,
  GETEVENTS_ARG,
  PARAMS,
  RING_HEADER_BYTES,
  SETUP,
  SQE_BYTES,
  SQ_OFF,
} from './layout.ts';

const ARGUMENT_BYTES = 128;
const TIMESPEC_BYTES = 192;
/** What fits into a page each: all that kernels before 6.10 take without huge pages. */
const ONE_PAGE_ENTRIES = 64;
/** IORING_MAX_ENTRIES. */
export const ENTRIES_MAX = 32_768;

export interface Ring {
  readonly fd: number;
  readonly entries: number;
  readonly control: Arena;
  readonly deferred: boolean;
  /** Of `struct io_uring_getevents_arg`, and the word where its timespec lies. */
  readonly argumentAddress: number;
  readonly timespecWord: number;
  /** Word indexes into the control arena. */
  readonly sqesWord: number;
  readonly sqHeadWord: number;
  readonly sqTailWord: number;
  readonly sqMask: number;
  readonly cqesWord: number;
  readonly cqHeadWord: number;
  readonly cqTailWord: number;
  readonly cqMask: number;
  readonly cqOverflowWord: number;
}

export const powerOfTwoUp = (value: number): number => 2 ** Math.ceil(Math.log2(value));

/** What the kernel's answer to io_uring_setup means to a person. */
function setupRefusal(result: number): string {
  switch (-result) {
    case ERRNO.ENOSYS:
      return 'this kernel has no io_uring (ENOSYS)';
    case ERRNO.EPERM:
      return 'io_uring is forbidden here (EPERM: kernel.io_uring_disabled, or a seccomp filter)';
    case ERRNO.EINVAL:
      return 'io_uring cannot use our memory (EINVAL: NO_MMAP and NO_SQARRAY need Linux 6.6)';
    case ERRNO.ENOMEM:
      return 'io_uring could not get memory (ENOMEM: see the memlock limit, ulimit -l)';
    default:
      return `io_uring_setup failed with ${errnoName(result) ?? String(result)}`;
  }
}

/** Flag sets from the best to the plainest: older kernels do not know the first. */
function flagSets(polled: boolean): number[] {
  const needed = SETUP.noMmap | SETUP.noSqArray | SETUP.cqSize | SETUP.submitAll;
  const wanted = needed | (polled ? SETUP.iopoll : 0);
  return [
    wanted | SETUP.singleIssuer | SETUP.deferTaskrun,
    wanted | SETUP.singleIssuer | SETUP.coopTaskrun,
    wanted,
  ];
}

function trySetup(
  host: ExecutorHost,
  control: Arena,
  entries: number,
  flags: number,
  sqesBytes: number,
): number {
  const { words, baseAddress } = control;
  words.fill(0, 0, PAGE_BYTES / 4);
  words[PARAMS.cqEntriesWord] = entries * 2;
  words[PARAMS.flagsWord] = flags;
  storeU64(words, SQ_OFF.userAddressWord, baseAddress + PAGE_BYTES);
  storeU64(words, CQ_OFF.userAddressWord, baseAddress + PAGE_BYTES + sqesBytes);
  const { syscalls, numbers } = host;
  return syscalls.call(numbers.io_uring_setup, entries, baseAddress, 0, 0, 0, 0);
}

/** A ring for `depth` operations, or for fewer where an older kernel needs one page. Throws `ExecutorRefusal`. */
export function openRing(host: ExecutorHost, depth: number, polled: boolean): Ring {
  const wanted = powerOfTwoUp(Math.max(2, Math.min(depth, ENTRIES_MAX)));
  let result = 0;
  for (const entries of wanted > ONE_PAGE_ENTRIES ? [wanted, ONE_PAGE_ENTRIES] : [wanted]) {
    const sqesBytes = alignUp(entries * SQE_BYTES, PAGE_BYTES);
    const ringsBytes = alignUp(RING_HEADER_BYTES + entries * 2 * CQE_BYTES, PAGE_BYTES);
    const control = host.makeArena((PAGE_BYTES + sqesBytes + ringsBytes) / PAGE_BYTES);
    for (const flags of flagSets(polled)) {
      result = trySetup(host, control, entries, flags, sqesBytes);
      if (result >= 0) return ringFrom(host, control, result, entries, sqesBytes);
      if (result !== -ERRNO.EINVAL) break;
    }
  }
  throw new ExecutorRefusal('io_uring', setupRefusal(result));
}

function ringFrom(
  host: ExecutorHost,
  control: Arena,
  fd: number,
  entries: number,
  sqesBytes: number,
): Ring {
  const { words, baseAddress } = control;
  const word = (index: number): number => words[index] as number;
  if ((word(PARAMS.featuresWord) & FEATURE_EXT_ARG) === 0) {
    host.syscalls.call(host.numbers.close, fd, 0, 0, 0, 0, 0);
    throw new ExecutorRefusal('io_uring', 'this kernel waits without a time limit (no EXT_ARG)');
  }
  const rings = (PAGE_BYTES + sqesBytes) / 4;
  const at = (offsetWord: number): number => rings + word(offsetWord) / 4;
  storeU64(words, ARGUMENT_BYTES / 4 + GETEVENTS_ARG.timespecWord, baseAddress + TIMESPEC_BYTES);
  return {
    fd,
    entries,
    control,
    deferred: (word(PARAMS.flagsWord) & SETUP.deferTaskrun) !== 0,
    argumentAddress: baseAddress + ARGUMENT_BYTES,
    timespecWord: TIMESPEC_BYTES / 4,
    sqesWord: PAGE_BYTES / 4,
    sqHeadWord: at(SQ_OFF.headWord),
    sqTailWord: at(SQ_OFF.tailWord),
    sqMask: word(at(SQ_OFF.maskWord)),
    cqesWord: at(CQ_OFF.cqesWord),
    cqHeadWord: at(CQ_OFF.headWord),
    cqTailWord: at(CQ_OFF.tailWord),
    cqMask: word(at(CQ_OFF.maskWord)),
    cqOverflowWord: at(CQ_OFF.overflowWord),
  };
}
