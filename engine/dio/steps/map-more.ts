// SPDX-License-Identifier: GPL-2.0-only
/** The file system's block mapping (get_more_blocks). */
import { KernelBug, MAP_FLAG, TRACE, type KernelReturn } from '../../base/index.ts';
import { NO_ANSWER, SLEEPS, type Dio } from '../state.ts';

const ROW_MAP = TRACE.map;

/**
 * get_more_blocks: asks the file system for the blocks from `blockInFile` to the end of the request. A fault that was covered with
 * zeros ends the walk here, once the mapped blocks are used up. 0, minus an errno, or `SLEEPS`: get_block has to wait for metadata.
 */
export function mapMore(dio: Dio): KernelReturn {
  if (dio.pageError !== 0) return dio.pageError;
  if (dio.mapAnswer !== NO_ANSWER) {
    const answer = dio.mapAnswer;
    dio.mapAnswer = NO_ANSWER;
    return takeMapAnswer(dio, answer);
  }
  if (dio.blockInFile >= dio.finalBlockInRequest) {
    throw new KernelBug('BUG: get_more_blocks', 'map call beyond the request');
  }
  const { mapping, request, inode } = dio;
  const blocksPerFsBlock = 1 << dio.blockFactorBits;
  const fileBlock = Math.floor(dio.blockInFile / blocksPerFsBlock);
  dio.mapFileBlock = fileBlock;
  dio.mapAskedBlocks = askedBlocks(dio, fileBlock, blocksPerFsBlock);
  dio.mapCreate = mayCreate(dio, fileBlock);
  mapping.flags = 0;
  mapping.lengthBytes = dio.mapAskedBlocks * (1 << (dio.blockBits + dio.blockFactorBits));
  const answer = request.getBlock(inode, fileBlock, mapping, dio.mapCreate);
  if (typeof answer !== 'number') {
    dio.pendingTask = answer;
    return SLEEPS;
  }
  return takeMapAnswer(dio, answer);
}

function askedBlocks(dio: Dio, fileBlock: number, blocksPerFsBlock: number): number {
  if (dio.traits.askedBlocks === 'touched') {
    const lastBlock = Math.floor((dio.finalBlockInRequest - 1) / blocksPerFsBlock);
    return lastBlock - fileBlock + 1;
  }
  return Math.ceil((dio.finalBlockInRequest - dio.blockInFile) / blocksPerFsBlock);
}

/** Whether holes may be allocated: the `create` argument. */
function mayCreate(dio: Dio, fileBlock: number): boolean {
  if (!dio.isWrite) return false;
  const { request, inode } = dio;
  switch (dio.traits.createRule) {
    case 'unless-inside-size': {
      if (!request.skipHoles || inode.sizeBytes === 0) return true;
      const lastBlock = Math.floor((inode.sizeBytes - 1) / (1 << inode.blockBits));
      return fileBlock > lastBlock;
    }
    case 'unless-below-size-in-units':
      return !request.skipHoles || !isBelowSizeInUnits(dio);
    case 'by-lock-type':
      if (request.locking === 'none') return false;
      return request.locking === 'driver-locks' || !isBelowSizeInUnits(dio);
    case 'always':
      return true;
  }
}

/** i_size shifted down: the block that holds the last partial unit counts as outside. */
function isBelowSizeInUnits(dio: Dio): boolean {
  return dio.blockInFile < Math.floor(dio.inode.sizeBytes / (1 << dio.blockBits));
}

function takeMapAnswer(dio: Dio, answer: KernelReturn): KernelReturn {
  const { mapping, counters, trace } = dio;
  dio.driverData = mapping.driverData;
  if (counters !== null) counters.getBlockCalls++;
  if (trace !== null) {
    const isMapped = answer === 0 && (mapping.flags & MAP_FLAG.mapped) !== 0;
    const fsBlockBytes = 1 << (dio.blockBits + dio.blockFactorBits);
    trace.add(
      ROW_MAP,
      dio.id,
      -1,
      dio.mapFileBlock,
      dio.mapAskedBlocks,
      dio.mapCreate ? 1 : 0,
      mapping.flags,
      isMapped ? mapping.deviceBlock : 0,
      answer < 0 ? answer : mapping.lengthBytes / fsBlockBytes,
    );
  }
  if (answer === 0 && (mapping.flags & MAP_FLAG.defer) !== 0) return setDeferCompletion(dio);
  return answer;
}

const ROW_WORK_QUEUE = TRACE['work-queue'];

/** dio_set_defer_completion: the completion will run in process context. 0, or why the work queue cannot be made. */
export function setDeferCompletion(dio: Dio): KernelReturn {
  if (dio.deferCompletion) return 0;
  dio.deferCompletion = true;
  return dio.inode.superBlock.hasDioWorkQueue ? 0 : makeWorkQueue(dio);
}

/** sb_init_dio_done_wq. */
export function makeWorkQueue(dio: Dio): KernelReturn {
  if (dio.trace !== null) dio.trace.add(ROW_WORK_QUEUE, dio.id, -1);
  return dio.inode.superBlock.initDioWorkQueue();
}
