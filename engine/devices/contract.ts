// SPDX-License-Identifier: GPL-2.0-only
/** What a device module brings and what it may ask for. The list of modules is index.ts. */
import type { Arena, Clock, OptionSchema, OptionsOf, Scheduler } from '../base/index.ts';
import type { BioOp, BlockDevice } from '../block/index.ts';
import type {
  Executor,
  ExecutorChoice,
  ExecutorId,
  ExecutorOptions,
} from '../executor/contract.ts';
import type { Memory } from '../memory/index.ts';

export interface DevicePorts {
  /** The run's clock: the host's, or a virtual one that the device moves (`VirtualClock`). */
  readonly clock: Clock;
  readonly memory: Memory;
  readonly scheduler: Scheduler;
  readonly imageFiles?: ImageFilePort;
  readonly executors?: ExecutorPort;
  readonly loops?: LoopPort;
  /** The device under a stacked one (`DeviceModule.below`), open; the stacked one closes it. */
  readonly below?: OpenDevice;
  /** What the run asks of the executor; devices without one ignore it. */
  readonly io: {
    readonly ioEngine: ExecutorId;
    readonly depth: number;
    readonly submitBatch: number;
    readonly direct: boolean;
    readonly readOnly: boolean;
    /** The run keeps a whole trace: a real device is asked for the events of the host's kernel too. */
    readonly traced?: boolean;
    /** What is over when `submit` returns ends inside it: nobody has to sleep, as with a RAM disk. Absent: it ends in `wait`. */
    readonly endsInSubmit?: boolean;
  };
}

/** Opens, checks and locks regular files of the host (promises.md, "Images"). Throws `HostError`. */
export interface ImageFilePort {
  open(path: string, options: { readonly readOnly: boolean; readonly direct: boolean }): OpenImage;
}
export interface OpenImage {
  readonly path: string;
  /** The host's descriptor; belongs to this object. */
  readonly fd: number;
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  /** Opened with O_DIRECT, and the file system honours it; else `directRefusedWhy` says why not. */
  readonly isDirect: boolean;
  readonly directRefusedWhy: string | null;
  /** Granularity of offset and length, and alignment of buffers, in bytes (statx DIOALIGN, else the fall-back of the doctor). */
  readonly offsetAlignBytes: number;
  readonly memoryAlignBytes: number;
  /** What somebody else did to the file since it was opened, as one sentence; null: nothing that shows. */
  changedWhy?(): string | null;
  close(): void;
}
/** Attaches image files to loop devices of the host, through the privileged helper. Throws `HostError`. */
export interface LoopPort {
  attach(imagePath: string, ask: LoopAsk): OpenLoop;
  /**
   * A file in the image, opened for reading through the kernel's own mount of a loop device over it. Closing it unmounts and detaches.
   * Which file system the kernel is to mount is read from the image.
   */
  openThroughMount(imagePath: string, ask: LoopAsk, filePath: string): OpenImage;
}
/** Makes files of the host for a run. Throws `HostError`. */
export interface PlainFilePort {
  /** A new file of `sizeBytes` beside another, written from end to end; it is removed when it is closed. */
  make(
    beside: string,
    sizeBytes: number,
    options: { readonly direct: boolean; readonly isStopRequested: () => boolean },
  ): OpenImage;
}
export interface LoopAsk {
  /** Logical blocks of the device: 512, 1024, 2048 or 4096. */
  readonly sectorBytes: number;
  readonly readOnly: boolean;
  /** LO_FLAGS_DIRECT_IO: the loop driver goes around the page cache of the file system under the image. */
  readonly directIo: boolean;
  /** The device itself is used with O_DIRECT. */
  readonly direct: boolean;
  /** Block events of the device are captured where the kernel lets us. */
  readonly traced?: boolean;
}
/** A loop device as the kernel says that it is, which may only be as asked for. */
export interface OpenLoop {
  /** The device as a file of the host: its `fd` is the device's, its `path` the image's. Closing it detaches. */
  readonly image: OpenImage;
  /** The N of /dev/loopN. */
  readonly number: number;
  readonly sectorBytes: number;
  readonly hasDirectIo: boolean;
  /** Absent: nothing was captured. */
  readonly takeKernelEvents?: () => CapturedEvents;
}
/** What the host's kernel told of a device, as text of its tracefs. */
export interface CapturedEvents {
  readonly text: string;
  /** What to add to the kernel's monotonic clock to have the run's. */
  readonly clockMinusMonotonicNs: number;
}
/** Makes executors over the host's system calls, falling back io_uring, libaio, threads where the host refuses. */
export interface ExecutorPort {
  open(
    asked: ExecutorId,
    options: ExecutorOptions,
    /** Where the slots' buffers lie; without it the arena that the same ports made last. */
    arena?: Arena,
  ): { readonly executor: Executor; readonly choice: ExecutorChoice };
}

export interface DeviceModule<S extends OptionSchema = OptionSchema> {
  readonly id: string;
  readonly title: string;
  readonly help: string;
  readonly options: S;
  /** Ports that the module cannot do without; the interface says what is missing. */
  readonly needs: readonly ('imageFiles' | 'executors' | 'loops')[];
  /** True where time is the model's own: the run uses a virtual clock, which `CompletionSource.wait` moves. */
  readonly virtualTime: boolean;
  /** Stacked: the device that it stands on, by its options. It is opened first and given as `ports.below`. Absent: it stands alone. */
  below?(options: OptionsOf<S>): {
    readonly id: string;
    readonly options: Readonly<Record<string, unknown>>;
  };
  /** Throws `HostError` where the host or the options refuse. */
  open(ports: DevicePorts, options: OptionsOf<S>): OpenDevice;
}
export interface OpenDevice {
  readonly device: BlockDevice;
  /** Null: no executor is involved. */
  readonly executorChoice: ExecutorChoice | null;
  readonly image: OpenImage | null;
  /** The first error that the host gave, with its place: the request only has the errno. Absent: the device has no host. */
  readonly firstFault?: () => DeviceFault | null;
  /** What the host's kernel did with the device, so far; absent: it was not watched. */
  readonly takeKernelEvents?: () => CapturedEvents;
  /** Sentences for the result of a run, asked for at its end. Absent: none. */
  readonly notes?: () => readonly string[];
}
export interface DeviceFault {
  readonly op: BioOp;
  /** Minus an errno. */
  readonly status: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Not an errno of the host: nothing was moved, so the file ends before the disk does. */
  readonly isEndOfFile: boolean;
  /** A rule of the experiment made it, not the host. */
  readonly isInjected?: boolean;
}
