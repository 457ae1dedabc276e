// SPDX-License-Identifier: GPL-2.0-only
/** Any thrown thing as `HostErrorData`: host refusals whole, broken invariants and crashes with their values and place. */
import { HostError, InvariantError, type HostErrorData } from '../../engine/base/index.ts';

/** Where it was thrown, without the folders of this machine: 'run.ts:120'. */
function placeOf(error: Error): string | null {
  const match = /([\w.-]+\.[cm]?[jt]s):(\d+):\d+/.exec(error.stack ?? '');
  return match === null ? null : `${match[1] ?? ''}:${match[2] ?? ''}`;
}

export function failureData(error: unknown): HostErrorData {
  if (error instanceof HostError) return error.toJSON();
  if (error instanceof InvariantError) {
    return {
      code: 'engine.invariant',
      message: `A rule of the engine was broken: ${error.message}`,
      hint: 'This is a fault of diolab itself. The trace up to here shows how it came to it.',
      exitCode: 70,
      data: { ...error.values, place: placeOf(error) },
    };
  }
  if (error instanceof Error) {
    return {
      code: 'engine.crash',
      message: `${error.name}: ${error.message}`,
      hint: 'This is a fault of diolab itself.',
      exitCode: 70,
      data: { place: placeOf(error) },
    };
  }
  return { code: 'engine.crash', message: String(error), exitCode: 70 };
}
