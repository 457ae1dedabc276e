// SPDX-License-Identifier: GPL-2.0-only
/**
 * The engine thread's side: takes one question after the other and answers it synchronously. `engine-thread.ts` calls it with the real
 * lab and the native ports; tests call it with a scripted lab.
 *
 * Rules: 1. While it works, it turns no message loop: it hears of a stop through the control words, and sends by `postMessage`, which
 * needs none. 2. Bulk columns are transferred, not copied. 3. Whatever is thrown becomes data and crosses whole.
 */
import {
  parentPort,
  receiveMessageOnPort,
  workerData,
  type MessagePort,
} from 'node:worker_threads';
import { assert, HostError } from '../../engine/base/index.ts';
import type { Lab, LabPorts, RunOutcome } from '../../engine/lab/door.ts';
import type { TransferPart, WorkbenchTools } from '../../engine/lab/workbench.ts';
import type { HostFact } from '../contract/types.ts';
import type { ImageUse } from '../contract/workbench.ts';
import { failureData } from './failure.ts';
import {
  CONTROL,
  EVERY_CALL,
  type CompareMountedAsk,
  type DataForThread,
  type FromThread,
  type HeldLoop,
  type HeldLoopAsk,
  type MountedComparison,
  type ThreadBirth,
  type ToolAnswer,
  type ToolAsk,
  type ToThread,
} from './messages.ts';

export interface ThreadParts {
  readonly lab: Lab;
  /** Made at the first question, once a thread. */
  readonly makePorts: () => LabPorts;
  /** What the host can do, probed where the engine runs. */
  readonly probeFacts: (folder: string) => HostFact[];
  /** Who else uses an image file. */
  readonly usesOf: (path: string) => ImageUse[];
  /** What takes the privileged helper. */
  readonly privileged: PrivilegedTools;
}
/** Loop devices that are kept, and the kernel's own mount to compare with. All throw `HostError`. */
export interface PrivilegedTools {
  attach(ask: HeldLoopAsk): HeldLoop;
  /** False: it is not kept here. */
  detach(device: string): boolean;
  held(): HeldLoop[];
  /** What `onPart` throws ends it. */
  compareMounted(
    tools: WorkbenchTools,
    ports: LabPorts,
    ask: CompareMountedAsk,
    onPart: (part: TransferPart) => void,
  ): MountedComparison;
}

type TransferAsk = Extract<ToolAsk, { readonly name: 'get-tree' | 'put-tree' | 'lay-out' }>;
type PrivilegedAsk = Extract<
  ToolAsk,
  { readonly name: 'loop-attach' | 'loop-detach' | 'loops-held' | 'compare-mounted' }
>;
type LessonAsk = Extract<
  ToolAsk,
  { readonly name: 'lesson-start' | 'lesson-answer' | 'lesson-image' }
>;
/** What goes to the workbench: all but the questions that `answer` names itself. */
type WorkbenchAsk = Exclude<
  ToolAsk,
  {
    readonly name:
      | 'probe'
      | 'format'
      | 'list'
      | 'map'
      | 'read'
      | 'write'
      | 'explain'
      | 'compare'
      | 'exhibit'
      | 'lesson-start'
      | 'lesson-answer'
      | 'lesson-image'
      | 'facts'
      | 'partitions'
      | 'used-by'
      | PrivilegedAsk['name'];
  }
>;

/** The buffers of columns that can change their owner; shared and repeated ones are left out. */
function buffersOf(...groups: readonly (object | null)[]): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const group of groups) {
    for (const value of Object.values(group ?? {})) {
      if (ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer)
        buffers.add(value.buffer);
    }
  }
  return [...buffers];
}

class EngineThread {
  private ports: LabPorts | null = null;

  constructor(
    private readonly parts: ThreadParts,
    private readonly port: MessagePort,
    private readonly dataPort: MessagePort,
    private readonly control: Int32Array,
  ) {}

  take(message: ToThread): void {
    if (message.kind === 'run') this.run(message);
    else this.call(message.callId, message.call);
  }

  private send(message: FromThread, transfer: readonly ArrayBuffer[] = []): void {
    this.port.postMessage(message, [...transfer]);
  }

  private labPorts(): LabPorts {
    this.ports ??= this.parts.makePorts();
    return this.ports;
  }

  private run(message: ToThread & { kind: 'run' }): void {
    let outcome: RunOutcome;
    try {
      outcome = this.parts.lab.run(message.experiment, this.labPorts(), {
        isStopRequested: () => Atomics.load(this.control, CONTROL.stop) !== 0,
        onProgress: (progress, points) => {
          this.send({ kind: 'progress', progress, points });
        },
      });
    } catch (error) {
      this.send({ kind: 'run-failed', error: failureData(error) });
      return;
    }
    const { result, requests, trace } = outcome;
    this.send({ kind: 'run-ended', result, requests, trace }, buffersOf(requests, trace));
  }

  private call(callId: number, call: ToolAsk): void {
    try {
      this.send({ kind: 'answer', callId, answer: this.answer(callId, call) });
    } catch (error) {
      this.send({ kind: 'call-failed', callId, error: failureData(error) });
    }
  }

  private answer(callId: number, call: ToolAsk): ToolAnswer {
    const { lab } = this.parts;
    switch (call.name) {
      case 'probe':
        return lab.image.probe(this.labPorts(), call.ask.path);
      case 'format':
        lab.image.format(this.labPorts(), call.ask.path, call.ask.fileSystemId, call.ask.options);
        return null;
      case 'list':
        return lab.image.list(this.labPorts(), call.ask.path, call.ask.folder, call.ask.partition);
      case 'map':
        return lab.image.map(this.labPorts(), call.ask.path, call.ask.file, call.ask.partition);
      case 'partitions':
        return lab.image.partitions(this.labPorts(), call.ask.path);
      case 'read': {
        const onData = (bytes: Uint8Array): void => {
          this.sendData(callId, bytes);
        };
        lab.image.read(this.labPorts(), call.ask.path, call.ask.file, onData, call.ask.partition);
        return null;
      }
      case 'write': {
        const nextData = (): Uint8Array | null => this.nextData(callId);
        lab.image.write(
          this.labPorts(),
          call.ask.path,
          call.ask.file,
          nextData,
          call.ask.partition,
        );
        return null;
      }
      case 'explain':
        return lab.explain(call.ask, this.labPorts());
      case 'compare':
        return lab.compare(call.ask, this.labPorts());
      case 'exhibit':
        return lab.exhibit(call.ask.id);
      case 'lesson-start':
      case 'lesson-answer':
      case 'lesson-image':
        return this.lessonAnswer(call);
      case 'facts':
        return this.parts.probeFacts(call.ask.folder);
      case 'used-by':
        return this.parts.usesOf(call.ask.path);
      case 'loop-attach':
      case 'loop-detach':
      case 'loops-held':
      case 'compare-mounted':
        return this.privilegedAnswer(callId, call);
      default:
        return this.workbenchAnswer(callId, call);
    }
  }

  private lessonAnswer(call: LessonAsk): ToolAnswer {
    const { lessons } = this.parts.lab;
    const ports = this.labPorts();
    const { id, seed } = call.ask;
    switch (call.name) {
      case 'lesson-start':
        return lessons.start(ports, id, seed);
      case 'lesson-answer':
        return lessons.answer(ports, id, seed, call.ask.answer);
      case 'lesson-image':
        return lessons.image(ports, id, seed, call.ask.imageId);
    }
  }

  private workbenchAnswer(callId: number, call: WorkbenchAsk): ToolAnswer {
    const { workbench } = this.parts.lab;
    const ports = this.labPorts();
    switch (call.name) {
      case 'stat':
        return workbench.stat(ports, call.ask, call.ask.file);
      case 'layout':
        return workbench.layout(ports, call.ask);
      case 'fragmentation':
        return workbench.fragmentation(ports, call.ask);
      case 'block':
        return workbench.block(ports, call.ask, call.ask.block);
      case 'preview': {
        const { file, offsetBytes, lengthBytes } = call.ask;
        return workbench.preview(ports, call.ask, file, offsetBytes, lengthBytes);
      }
      case 'make-folder':
        workbench.makeFolder(ports, call.ask, call.ask.folder);
        return null;
      case 'remove':
        return workbench.remove(ports, call.ask, call.ask.file);
      case 'rename':
        workbench.rename(ports, call.ask, call.ask.from, call.ask.to);
        return null;
      default:
        return this.transferAnswer(callId, call);
    }
  }

  private transferAnswer(callId: number, call: TransferAsk): ToolAnswer {
    const { workbench } = this.parts.lab;
    const ports = this.labPorts();
    const onPart = (part: TransferPart): void => {
      this.sendPart(callId, part);
    };
    switch (call.name) {
      case 'get-tree':
        return workbench.getTree(ports, call.ask, call.ask.file, onPart);
      case 'put-tree':
        return workbench.putTree(ports, call.ask, call.ask.file, () => this.nextPart(callId));
      case 'lay-out':
        return workbench.layOut(ports, call.ask, call.ask.recipe, onPart);
    }
  }

  private privilegedAnswer(callId: number, call: PrivilegedAsk): ToolAnswer {
    const { privileged, lab } = this.parts;
    switch (call.name) {
      case 'loop-attach':
        return privileged.attach(call.ask);
      case 'loop-detach':
        return privileged.detach(call.ask.device);
      case 'loops-held':
        return privileged.held();
      case 'compare-mounted':
        return privileged.compareMounted(lab.workbench, this.labPorts(), call.ask, (part) => {
          this.sendPart(callId, part);
        });
    }
  }

  private refuseIfGivenUp(callId: number): void {
    const givenUp = Atomics.load(this.control, CONTROL.givenUp);
    if (givenUp === callId || givenUp === EVERY_CALL) {
      throw new HostError({
        code: 'call.aborted',
        message: 'The call was given up',
        exitCode: 130,
      });
    }
  }

  /** Waits for credit, so that a slow reader holds the thread and not the memory. */
  private takeCredit(callId: number): void {
    while (Atomics.load(this.control, CONTROL.credit) <= 0) {
      this.refuseIfGivenUp(callId);
      Atomics.wait(this.control, CONTROL.credit, 0, 1000);
    }
    this.refuseIfGivenUp(callId);
    Atomics.sub(this.control, CONTROL.credit, 1);
  }

  private sendData(callId: number, bytes: Uint8Array): void {
    this.takeCredit(callId);
    const copy = bytes.slice();
    this.send({ kind: 'data', callId, bytes: copy }, [copy.buffer]);
  }

  /** Bytes of a part belong to the receiver from here on. */
  private sendPart(callId: number, part: TransferPart): void {
    this.takeCredit(callId);
    const buffer = part.kind === 'bytes' ? part.bytes.buffer : null;
    this.send({ kind: 'part', callId, part }, buffer instanceof ArrayBuffer ? [buffer] : []);
  }

  private nextData(callId: number): Uint8Array | null {
    return this.nextMessage(callId).bytes;
  }

  private nextPart(callId: number): TransferPart | null {
    return this.nextMessage(callId).part ?? null;
  }

  private nextMessage(callId: number): DataForThread {
    let seen = Atomics.load(this.control, CONTROL.dataSequence);
    this.send({ kind: 'want-data', callId });
    for (;;) {
      this.refuseIfGivenUp(callId);
      const received = receiveMessageOnPort(this.dataPort) as
        { message: DataForThread } | undefined;
      if (received !== undefined) {
        if (received.message.callId !== callId) continue; // left over from a call that failed
        if (received.message.failed) {
          throw new HostError({
            code: 'call.aborted',
            message: 'The source of the content failed before its end',
            exitCode: 74,
          });
        }
        return received.message;
      }
      Atomics.wait(this.control, CONTROL.dataSequence, seen, 1000);
      seen = Atomics.load(this.control, CONTROL.dataSequence);
    }
  }
}

/** Serves this worker thread until it ends. Call once, from the entry of the thread. */
export function serveEngineThread(parts: ThreadParts): void {
  const port = parentPort;
  assert(port !== null, 'the engine thread is a worker thread');
  const birth = workerData as ThreadBirth & { readonly dataPort: MessagePort };
  const thread = new EngineThread(parts, port, birth.dataPort, new Int32Array(birth.control));
  port.on('message', (message: ToThread) => {
    thread.take(message);
  });
  port.postMessage({ kind: 'ready' } satisfies FromThread);
}
