// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the real host, or the person's input, refuses. Says what, where and what would be right, and crosses processes whole
 * (`toJSON`, `fromJSON`). `code` is stable and is what programs match on; `message` is for people.
 */

export interface HostErrorData {
  /** Stable and dotted, for example 'image.in-use' or 'job.unknown-key'. */
  readonly code: string;
  /** One sentence: what is wrong, with its values. */
  readonly message: string;
  /** The file, key, line or address it is about. */
  readonly where?: string;
  /** One sentence: what would be right. */
  readonly hint?: string;
  /** The exit code of the terminal face (product.md: 64 usage, 65 data, 66 no input, 73 cannot create, 74 I/O, 77, 78). */
  readonly exitCode?: number;
  readonly data?: Readonly<Record<string, string | number | boolean | null>>;
}

export class HostError extends Error implements HostErrorData {
  override readonly name = 'HostError';
  readonly code: string;
  readonly where?: string;
  readonly hint?: string;
  readonly exitCode?: number;
  readonly data?: Readonly<Record<string, string | number | boolean | null>>;
  constructor(error: HostErrorData) {
    super(error.message);
    this.code = error.code;
    if (error.where !== undefined) this.where = error.where;
    if (error.hint !== undefined) this.hint = error.hint;
    if (error.exitCode !== undefined) this.exitCode = error.exitCode;
    if (error.data !== undefined) this.data = error.data;
  }
  toJSON(): HostErrorData {
    return {
      code: this.code,
      message: this.message,
      ...(this.where !== undefined && { where: this.where }),
      ...(this.hint !== undefined && { hint: this.hint }),
      ...(this.exitCode !== undefined && { exitCode: this.exitCode }),
      ...(this.data !== undefined && { data: this.data }),
    };
  }
  static fromJSON(data: HostErrorData): HostError {
    return new HostError(data);
  }
}
