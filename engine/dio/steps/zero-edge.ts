// SPDX-License-Identifier: GPL-2.0-only
/**
 * Zeroing the rest of a new block (dio_zero_block). A request finer than the file system's block fills only a part of a block that
 * was just allocated; the part before its first byte and after its last one would show what the disk held before.
 *
 * Worked: 512-byte units in a new 4096-byte block, write of units 3 and 4: at the start 3 units are zeroed, at the end 3.
 */
import { MAP_FLAG, TRACE } from '../../base/index.ts';
import { ZERO_PAGE } from '../../memory/index.ts';
import type { Dio } from '../state.ts';

const ROW_ZERO_EDGE = TRACE['zero-edge'];

/** dio_zero_block. An error of the piece is not reported: the kernel does not look at it either. */
export function zeroEdge(dio: Dio, isEnd: boolean): void {
  dio.startZeroDone = true;
  if (dio.blockFactorBits === 0 || (dio.mapping.flags & MAP_FLAG.new) === 0) return;
  const blocksPerFsBlock = 1 << dio.blockFactorBits;
  const inBlock = dio.blockInFile % blocksPerFsBlock;
  if (inBlock === 0) return;
  const blocks = isEnd ? blocksPerFsBlock - inBlock : inBlock;
  const lengthBytes = blocks << dio.blockBits;
  if (dio.trace !== null) {
    dio.trace.add(ROW_ZERO_EDGE, dio.id, -1, isEnd ? 1 : 0, lengthBytes, dio.nextBlockForIo);
  }
  const { counters } = dio;
  if (counters !== null) {
    counters.zeroedBlocks++;
    counters.zeroedBytes += lengthBytes;
  }
  const sent = dio.revision.submitPageSection(dio, ZERO_PAGE, 0, lengthBytes, dio.nextBlockForIo);
  if (sent !== 0) return;
  dio.nextBlockForIo += blocks;
}
