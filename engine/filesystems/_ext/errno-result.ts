// SPDX-License-Identifier: GPL-2.0-only
/** What a kernel return below 0 is to callers that speak results. */
import { errnoName, fail, type Result } from '../../base/index.ts';

export function errnoResult(value: number): Result<never> {
  return fail(errnoName(value) ?? 'EIO');
}
