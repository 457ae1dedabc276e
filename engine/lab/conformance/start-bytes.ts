// SPDX-License-Identifier: GPL-2.0-only
/** What user memory and disk hold before a scenario runs: to tell what it left as it was. */
import { PAGE_BYTES } from '../../base/index.ts';
import { completeScenario, type Scenario } from './scenario.ts';
import { FIRST_USER_PAGE, makeDisk, makeMemory } from './world-memory.ts';

export function startBytes(scenario: Scenario): {
  readonly userBytes: Uint8Array;
  readonly diskBytes: Uint8Array;
} {
  const full = completeScenario(scenario, scenario.name ?? 'scenario');
  const userBytes = makeMemory(full).bytes.subarray(FIRST_USER_PAGE * PAGE_BYTES);
  return { userBytes, diskBytes: makeDisk(full.sectors) };
}
