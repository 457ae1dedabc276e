// SPDX-License-Identifier: GPL-2.0-only
/** User memory and disk of a scenario, with their start patterns (FORMAT.md, section 2). */
import { PAGE_BYTES, SECTOR_BYTES } from '../../base/index.ts';
import { Memory, PAGE_STATE, plainArena } from '../../memory/index.ts';
import type { FullScenario } from './scenario.ts';

/** Arena page of user page 0: page 0 of the arena is the zero page. */
export const FIRST_USER_PAGE = 1;

/** Start byte j of page p: (73p + 11j + 29 floor(j/256) + 195) mod 256. */
function fillPage(bytes: Uint8Array, startByte: number, page: number): void {
  for (let j = 0; j < PAGE_BYTES; j++) {
    bytes[startByte + j] = 73 * page + 11 * j + 29 * (j >>> 8) + 195;
  }
}

/** Start byte j of sector s: (31s + 7 floor(s/256) + 5j + 3 floor(j/256) + 90) mod 256. */
function fillSector(bytes: Uint8Array, sector: number): void {
  const base = 31 * sector + 7 * Math.floor(sector / 256) + 90;
  const start = sector * SECTOR_BYTES;
  for (let j = 0; j < SECTOR_BYTES; j++) bytes[start + j] = base + 5 * j + 3 * (j >>> 8);
}

/** Patterns are the same in every scenario: made once for the largest asked so far, then copied. */
let pagePattern = new Uint8Array(0);
let sectorPattern = new Uint8Array(0);

function patternOfPages(count: number): Uint8Array {
  if (pagePattern.length < count * PAGE_BYTES) {
    const next = new Uint8Array(count * PAGE_BYTES);
    for (let page = 0; page < count; page++) fillPage(next, page * PAGE_BYTES, page);
    pagePattern = next;
  }
  return pagePattern.subarray(0, count * PAGE_BYTES);
}

/** The device's bytes at start. */
export function makeDisk(sectorCount: number): Uint8Array {
  if (sectorPattern.length < sectorCount * SECTOR_BYTES) {
    const next = new Uint8Array(sectorCount * SECTOR_BYTES);
    for (let sector = 0; sector < sectorCount; sector++) fillSector(next, sector);
    sectorPattern = next;
  }
  return sectorPattern.slice(0, sectorCount * SECTOR_BYTES);
}

/** The user's pages behind the zero page, with the scenario's absent and read-only ones. */
export function makeMemory(scenario: FullScenario): Memory {
  const { pages } = scenario;
  const memory = new Memory(plainArena(pages + FIRST_USER_PAGE), scenario.contig !== 0);
  memory.allocatePages(pages);
  memory.bytes.set(patternOfPages(pages), FIRST_USER_PAGE * PAGE_BYTES);
  const mark = (ranges: FullScenario['bad'], bit: number): void => {
    for (const [first, count] of ranges) {
      for (let page = first; page < Math.min(first + count, pages); page++) {
        const at = page + FIRST_USER_PAGE;
        memory.state[at] = (memory.state[at] as number) | bit;
      }
    }
  };
  mark(scenario.bad, PAGE_STATE.absent);
  mark(scenario.ro, PAGE_STATE.readOnly);
  return memory;
}
