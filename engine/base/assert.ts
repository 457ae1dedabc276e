// SPDX-License-Identifier: GPL-2.0-only
/** Broken invariants: always on, with their values. They stop the run; the trace is saved. */

/** Thrown by `assert`. `values` are what the message talks about. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
  constructor(
    message: string,
    readonly values: Readonly<Record<string, number | string | boolean | null>> = {},
  ) {
    super(
      Object.keys(values).length === 0
        ? message
        : `${message} (${Object.entries(values)
            .map(([key, value]) => `${key}=${String(value)}`)
            .join(', ')})`,
    );
  }
}

/** Stops the run where `condition` does not hold. Pass `values` only where making them costs nothing. */
export function assert(
  condition: boolean,
  message: string,
  values?: Readonly<Record<string, number | string | boolean | null>>,
): asserts condition {
  if (!condition) throw new InvariantError(message, values);
}

/** For a value of a union that the compiler knows to be exhausted. */
export function unreachable(value: never): never {
  throw new InvariantError(`unexpected value ${String(value)}`);
}

/**
 * The modelled kernel stopped: a BUG_ON of the ported source, or something no kernel survives. `what` is the text of the
 * golden format, for example "BUG: dio_new_bio". It is an outcome of the run that the lab shows, not a fault of ours.
 */
export class KernelBug extends Error {
  override readonly name = 'KernelBug';
  constructor(
    readonly what: string,
    readonly why: string,
  ) {
    super(`${what}: ${why}`);
  }
}
