// SPDX-License-Identifier: GPL-2.0-only
/**
 * One row a request, as columns, with a bound: when they are full every second row goes and from then on only every 2nd, 4th,
 * 8th... request is kept, so the rows stay an even sample of the whole run.
 */

/** Same shape as the lab's RequestColumns. */
export interface RequestRowColumns {
  readonly rowCount: number;
  readonly sampledEvery: number;
  readonly atNs: Float64Array;
  readonly latencyNs: Float64Array;
  readonly sector: Float64Array;
  readonly lengthBytes: Uint32Array;
  readonly op: Uint8Array;
  readonly status: Int16Array;
  readonly job: Uint8Array;
}

const ROWS_AT_START = 1024;

export class RequestRows {
  rowCount = 0;
  sampledEvery = 1;
  private capacity: number;
  private sinceKept = 0;
  private atNs: Float64Array;
  private latencyNs: Float64Array;
  private position: Float64Array;
  private lengthBytes: Uint32Array;
  private op: Uint8Array;
  private status: Int16Array;
  private job: Uint8Array;

  /** `rowsMax` 0: keeps nothing. 32 bytes a row. */
  constructor(readonly rowsMax: number) {
    this.capacity = Math.min(rowsMax, ROWS_AT_START);
    this.atNs = new Float64Array(this.capacity);
    this.latencyNs = new Float64Array(this.capacity);
    this.position = new Float64Array(this.capacity);
    this.lengthBytes = new Uint32Array(this.capacity);
    this.op = new Uint8Array(this.capacity);
    this.status = new Int16Array(this.capacity);
    this.job = new Uint8Array(this.capacity);
  }

  /** `position`: bytes in the file; `columns` turns them into sectors. `status`: 0 or minus an errno. */
  add(
    atNs: number,
    latencyNs: number,
    position: number,
    lengthBytes: number,
    op: number,
    status: number,
    job: number,
  ): void {
    if (++this.sinceKept < this.sampledEvery) return;
    this.sinceKept = 0;
    if (this.rowCount === this.capacity && !this.makeRoom()) return;
    const row = this.rowCount++;
    this.atNs[row] = atNs;
    this.latencyNs[row] = latencyNs;
    this.position[row] = position;
    this.lengthBytes[row] = lengthBytes;
    this.op[row] = op;
    this.status[row] = status;
    this.job[row] = job;
  }

  /** The rows; `toSector` maps a file offset in bytes to a sector of the device. The columns are ours no more. */
  columns(toSector: (fileOffsetBytes: number) => number): RequestRowColumns {
    const n = this.rowCount;
    const sector = this.position.subarray(0, n);
    for (let row = 0; row < n; row++) sector[row] = toSector(sector[row] as number);
    return {
      rowCount: n,
      sampledEvery: this.sampledEvery,
      atNs: this.atNs.subarray(0, n),
      latencyNs: this.latencyNs.subarray(0, n),
      sector,
      lengthBytes: this.lengthBytes.subarray(0, n),
      op: this.op.subarray(0, n),
      status: this.status.subarray(0, n),
      job: this.job.subarray(0, n),
    };
  }

  private makeRoom(): boolean {
    if (this.rowsMax === 0) return false;
    if (this.capacity < this.rowsMax) {
      this.growTo(Math.min(this.rowsMax, this.capacity * 2));
      return true;
    }
    return this.thin();
  }

  private growTo(capacity: number): void {
    const grown = <T extends Float64Array | Uint32Array | Uint8Array | Int16Array>(
      to: T,
      from: T,
    ): T => {
      to.set(from);
      return to;
    };
    this.atNs = grown(new Float64Array(capacity), this.atNs);
    this.latencyNs = grown(new Float64Array(capacity), this.latencyNs);
    this.position = grown(new Float64Array(capacity), this.position);
    this.lengthBytes = grown(new Uint32Array(capacity), this.lengthBytes);
    this.op = grown(new Uint8Array(capacity), this.op);
    this.status = grown(new Int16Array(capacity), this.status);
    this.job = grown(new Uint8Array(capacity), this.job);
    this.capacity = capacity;
  }

  /** Keeps the rows that a doubled sampling would have kept; true where the row at hand is one of them. */
  private thin(): boolean {
    const columns = [
      this.atNs,
      this.latencyNs,
      this.position,
      this.lengthBytes,
      this.op,
      this.status,
      this.job,
    ];
    const kept = this.rowCount >> 1;
    for (const column of columns) {
      for (let row = 0; row < kept; row++) column[row] = column[2 * row + 1] as number;
    }
    const isCurrentKept = this.rowCount % 2 === 1;
    this.rowCount = kept;
    if (!isCurrentKept) this.sinceKept = this.sampledEvery;
    this.sampledEvery *= 2;
    return isCurrentKept;
  }
}
