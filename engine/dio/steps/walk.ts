// SPDX-License-Identifier: GPL-2.0-only
/**
 * The walk over user pages and file blocks side by side (do_direct_IO): maps blocks where they run out, zeroes holes of reads, and
 * hands each piece of a page with its place on disk to submit_page_section.
 *
 * Rules: 1. Everything it needs to go on lies in the `Dio`, so a walk that answers `SLEEPS` is simply called again when the pending
 * task has run. 2. It allocates nothing. 3. The page being walked is let go at its end and on every way out but `SLEEPS`.
 */
import {
  ERRNO,
  KernelBug,
  MAP_FLAG,
  PAGE_BYTES,
  TRACE,
  type KernelReturn,
} from '../../base/index.ts';
import { NO_PAGE, NULL_PAGE, SLEEPS, STOPS, type Dio } from '../state.ts';
import { zeroEdge } from './zero-edge.ts';

const ROW_HOLE = TRACE.hole;
const ROW_END_OF_FILE = TRACE['end-of-file'];
const ROW_ZERO = TRACE.zero;
const ROW_ALIAS = TRACE.alias;

/** do_direct_IO: 0, minus an errno (-ENOTBLK: a write met a hole), or `SLEEPS`. */
export function walk(dio: Dio): KernelReturn {
  const { revision } = dio;
  while (dio.blockInFile < dio.finalBlockInRequest) {
    if (dio.walkPage === NO_PAGE) {
      const taken = revision.takePage(dio);
      if (taken !== 0) return taken;
    }
    const walked = walkPage(dio);
    if (walked === SLEEPS) return SLEEPS;
    if (dio.walkPage === NULL_PAGE) throw nullPage('a page that was not pinned is let go');
    dio.memory.put(dio.walkPage);
    dio.walkPage = NO_PAGE;
    if (walked !== 0) return walked === STOPS ? 0 : walked;
  }
  return 0;
}

/** One page, from `walkFrom` to `walkTo` or to the end of the request. */
function walkPage(dio: Dio): KernelReturn {
  const { mapping } = dio;
  while (dio.walkFrom < dio.walkTo) {
    if (dio.blocksAvailable === 0) {
      const mapped = mapHere(dio);
      if (mapped !== 0) return mapped;
    }
    const passed = (mapping.flags & MAP_FLAG.mapped) === 0 ? passHole(dio) : passChunk(dio);
    if (passed !== 0) return passed;
    if (dio.blockInFile > dio.finalBlockInRequest) {
      throw new KernelBug('BUG: do_direct_IO', 'walked past the end of the request');
    }
    if (dio.blockInFile === dio.finalBlockInRequest) return 0;
  }
  return 0;
}

/** Maps the blocks from here on and places the cursor on disk. */
function mapHere(dio: Dio): KernelReturn {
  const mapped = dio.revision.mapMore(dio);
  if (mapped !== 0) return mapped;
  const { mapping } = dio;
  if ((mapping.flags & MAP_FLAG.mapped) === 0) return 0;
  const isNew = (mapping.flags & MAP_FLAG.new) !== 0;
  dio.blocksAvailable = Math.floor(mapping.lengthBytes / (1 << dio.blockBits));
  if (isNew) dropAliases(dio);
  if (dio.blockFactorBits === 0) {
    dio.nextBlockForIo = mapping.deviceBlock;
    return 0;
  }
  // A request that starts inside a block: the cursor moves on to its first unit. Not where the block is new, because the part
  // before it has to be zeroed on disk first.
  const blocksPerFsBlock = 1 << dio.blockFactorBits;
  const remainder = dio.blockInFile % blocksPerFsBlock;
  dio.nextBlockForIo = mapping.deviceBlock * blocksPerFsBlock + (isNew ? 0 : remainder);
  dio.blocksAvailable -= remainder;
  return 0;
}

/** clean_bdev_aliases: buffers of the block device that alias the new blocks are stale now. */
function dropAliases(dio: Dio): void {
  const { mapping, request } = dio;
  const unitBits =
    dio.traits.aliasUnit === 'dio-block' ? dio.blockBits : dio.blockBits + dio.blockFactorBits;
  const count = Math.floor(mapping.lengthBytes / (1 << unitBits));
  if (dio.trace !== null) dio.trace.add(ROW_ALIAS, dio.id, -1, mapping.deviceBlock, count);
  request.cleanAliases(mapping.deviceBlock, count);
}

/** One dio block of a hole: zeros for a read, the end of direct I/O for a write. */
function passHole(dio: Dio): KernelReturn {
  const { trace } = dio;
  const { traits } = dio;
  if (trace !== null) trace.add(ROW_HOLE, dio.id, -1, dio.blockInFile, dio.isWrite ? 1 : 0);
  if (dio.isWrite && traits.unmappedWrite === 'stops') return -ERRNO.ENOTBLK;
  const blockBytes = 1 << dio.blockBits;
  if (traits.readStopsAtEndOfFile) {
    const { sizeBytes } = dio.inode;
    if (dio.blockInFile >= Math.ceil(sizeBytes / blockBytes)) {
      if (trace !== null) trace.add(ROW_END_OF_FILE, dio.id, -1, dio.blockInFile, sizeBytes);
      return STOPS;
    }
  }
  zeroUserMemory(dio, dio.walkPage, dio.walkFrom, blockBytes);
  dio.firstPageSkewBytes = 0;
  dio.blockInFile++;
  dio.walkFrom += blockBytes;
  if (traits.resultGrows === 'by-chunk') dio.result += blockBytes;
  return 0;
}

function nullPage(why: string): KernelBug {
  return new KernelBug('BUG: null page', why);
}

/** zero_user. */
function zeroUserMemory(dio: Dio, page: number, offsetBytes: number, lengthBytes: number): void {
  if (page === NULL_PAGE) throw nullPage('a page that was not pinned is zeroed');
  if (dio.trace !== null) dio.trace.add(ROW_ZERO, dio.id, -1, page, offsetBytes, lengthBytes);
  if (offsetBytes + lengthBytes > PAGE_BYTES) {
    throw new KernelBug('BUG: zeroing outside the page', `offset ${String(offsetBytes)}`);
  }
  const start = page * PAGE_BYTES + offsetBytes;
  dio.memory.bytes.fill(0, start, start + lengthBytes);
}

/** As much mapped disk as fits into this page. */
function passChunk(dio: Dio): KernelReturn {
  const { blockBits, mapping, revision } = dio;
  if (dio.blockFactorBits !== 0 && !dio.startZeroDone) zeroEdge(dio, false);
  const offsetBytes = dio.walkFrom + dio.firstPageSkewBytes;
  dio.firstPageSkewBytes = 0;
  // Unsigned, as there: an offset beyond the page leaves room without end.
  const inPage = (dio.walkTo - offsetBytes) >>> blockBits;
  const inRequest = dio.finalBlockInRequest - dio.blockInFile;
  const chunkBlocks = Math.min(dio.blocksAvailable, inPage, inRequest);
  const chunkBytes = chunkBlocks << blockBits;
  if (chunkBytes === 0) throw new KernelBug('BUG: do_direct_IO', 'a chunk of no bytes');
  if (chunkBlocks === dio.blocksAvailable || dio.traits.boundaryChunk === 'every') {
    dio.boundary = (mapping.flags & MAP_FLAG.boundary) !== 0;
  }
  const sent = revision.submitPageSection(
    dio,
    dio.walkPage,
    offsetBytes,
    chunkBytes,
    dio.nextBlockForIo,
  );
  if (sent !== 0) return sent;
  dio.nextBlockForIo += chunkBlocks;
  dio.blockInFile += chunkBlocks;
  dio.walkFrom += chunkBytes;
  dio.blocksAvailable -= chunkBlocks;
  if (dio.traits.resultGrows === 'by-chunk') dio.result += chunkBytes;
  return 0;
}
