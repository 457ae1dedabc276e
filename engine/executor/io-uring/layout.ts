// SPDX-License-Identifier: GPL-2.0-only
/**
 * io_uring by number (include/uapi/linux/io_uring.h). All offsets are in bytes unless they end in `Word` (32 bits).
 *
 *   struct io_uring_params, 120 bytes                struct io_uring_sqe, 64 bytes
 *     0  sq_entries   u32                              0  opcode    u8
 *     4  cq_entries   u32                              1  flags     u8
 *     8  flags        u32                              2  ioprio    u16
 *    12  sq_thread_cpu, sq_thread_idle  u32 x 2        4  fd        s32
 *    20  features     u32                              8  off       u64
 *    24  wq_fd, resv[3]  u32 x 4                      16  addr      u64
 *    40  sq_off: head tail mask entries flags         24  len       u32
 *          dropped array resv1  u32 x 8               28  op flags  u32   (rw_flags, fsync_flags, cancel_flags)
 *    72    user_addr  u64   <- our SQEs               32  user_data u64
 *    80  cq_off: head tail mask entries overflow      40  buf_index, personality, file_index, addr3: 0
 *          cqes flags resv1  u32 x 8
 *   112    user_addr  u64   <- our rings             struct io_uring_cqe, 16 bytes
 *                                                      0  user_data u64
 *   struct io_uring_getevents_arg, 24 bytes            8  res       s32
 *     0  sigmask u64, sigmask_sz u32, min_wait u32    12  flags     u32
 *    16  ts      u64   <- address of a timespec
 */
export const SETUP = {
  iopoll: 1 << 0,
  cqSize: 1 << 3,
  submitAll: 1 << 7,
  coopTaskrun: 1 << 8,
  singleIssuer: 1 << 12,
  deferTaskrun: 1 << 13,
  noMmap: 1 << 14,
  noSqArray: 1 << 16,
} as const;

export const FEATURE_EXT_ARG = 1 << 8;
export const ENTER = { getEvents: 1 << 0, extArg: 1 << 3 } as const;
export const OPCODE = { readv: 1, writev: 2, fsync: 3, cancel: 14, read: 22, write: 23 } as const;
export const FSYNC_DATASYNC = 1;
export const CANCEL = { all: 1 << 0, any: 1 << 2 } as const;

export const PARAMS = { cqEntriesWord: 1, flagsWord: 2, featuresWord: 5 } as const;
export const SQ_OFF = { headWord: 10, tailWord: 11, maskWord: 12, userAddressWord: 18 } as const;
export const CQ_OFF = {
  headWord: 20,
  tailWord: 21,
  maskWord: 22,
  overflowWord: 24,
  cqesWord: 25,
  userAddressWord: 28,
} as const;

export const SQE_BYTES = 64;
export const SQE_WORDS = 16;
export const SQE = {
  /** opcode, flags and ioprio share it. */
  opcodeWord: 0,
  fdWord: 1,
  offsetWord: 2,
  addressWord: 4,
  lengthWord: 6,
  opFlagsWord: 7,
  userDataWord: 8,
} as const;

export const CQE_BYTES = 16;
export const CQE_WORDS = 4;
export const CQE = { userDataWord: 0, resultWord: 2 } as const;
/** Heads, tails, masks and counters before the CQEs (struct io_rings). */
export const RING_HEADER_BYTES = 64;

export const GETEVENTS_ARG_BYTES = 24;
export const GETEVENTS_ARG = { timespecWord: 4 } as const;
