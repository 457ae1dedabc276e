// SPDX-License-Identifier: GPL-2.0-only
/**
 * An image in a file of an image, in words: what is held twice, what is copied how often, and what the driver of 2009 lost. Each
 * sentence rests on counters of the result.
 */
import { PAGE_BYTES } from '../base/index.ts';
import type { LoopEvidence, RunResult, VerdictClaim } from './result.ts';
import { bytesText, countText, numberText } from './words.ts';

/** The claims for the verdict, worst first; none where the image lies on the device itself. */
export function loopClaims({ loop }: RunResult): VerdictClaim[] {
  if (loop === undefined) return [];
  return [lossClaim(loop), copyClaim(loop), heldClaim(loop)].filter((claim) => claim !== null);
}

function lossClaim(loop: LoopEvidence): VerdictClaim | null {
  const { lostWriteBytes, unfilledReadBytes, refusedMisaligned } = loop;
  if (lostWriteBytes > 0) {
    return {
      tone: 'bad',
      text: `The loop driver of 2009 said that ${bytesText(lostWriteBytes)} were written which lie nowhere: direct I/O stops at a hole in the lower file, and the driver takes less than asked for as done.`,
      evidence: ['loop.lostWriteBytes'],
    };
  }
  if (unfilledReadBytes > 0) {
    return {
      tone: 'bad',
      text: `The loop driver of 2009 said that ${bytesText(unfilledReadBytes)} were read which nobody put into memory: they lie behind the end of the lower file.`,
      evidence: ['loop.unfilledReadBytes'],
    };
  }
  if (refusedMisaligned === 0) return null;
  return {
    tone: 'bad',
    text: `${countText(refusedMisaligned, 'bio')} of the upper file system were misaligned for the device below, and ended with EIO: the loop driver does not fall back.`,
    evidence: ['loop.refusedMisaligned'],
  };
}

/** How often a byte was copied by a processor on its way between the caller and the device. */
function copyClaim(loop: LoopEvidence): VerdictClaim | null {
  if (loop.bios === 0) return null;
  const { copiedBytes, upperCopiedBytes, directBytes } = loop;
  const evidence = ['loop.copiedBytes', 'loop.upperCopiedBytes', 'loop.directBytes'];
  const above = `${bytesText(upperCopiedBytes)} between the caller and the upper page cache`;
  const below = `${bytesText(copiedBytes)} between the upper file system and the lower page cache`;
  if (copiedBytes > 0 && upperCopiedBytes > 0) {
    const text = `The data were copied twice: ${above}, and ${below}.`;
    return { tone: 'warn', text, evidence };
  }
  if (copiedBytes > 0) {
    return { tone: 'warn', text: `The data were copied once: ${below}.`, evidence };
  }
  const down = `the loop driver handed the pages of ${bytesText(directBytes)} down to direct I/O`;
  const text =
    upperCopiedBytes > 0
      ? `The data were copied once: ${above}; ${down}.`
      : `No data were copied: ${down}.`;
  return { tone: 'good', text, evidence };
}

/** Double caching, counted in pages. */
function heldClaim(loop: LoopEvidence): VerdictClaim | null {
  const { upperCachedPages, lowerCachedPages, pagesHeldTwice } = loop;
  if (upperCachedPages === 0 && lowerCachedPages === 0) return null;
  const evidence = ['loop.pagesHeldTwice', 'loop.upperCachedPages', 'loop.lowerCachedPages'];
  const both = `${countText(upperCachedPages, 'page')} of the upper file and ${numberText(lowerCachedPages)} of the image's file are cached at the end`;
  if (pagesHeldTwice === 0) {
    return { tone: 'plain', text: `No page is held twice: ${both}.`, evidence };
  }
  const text = `${countText(pagesHeldTwice, 'page')} (${bytesText(pagesHeldTwice * PAGE_BYTES)}) of the file are held twice, in the upper and in the lower page cache: ${both}.`;
  return { tone: 'warn', text, evidence };
}

/** What explains the claims without being one. */
export function loopNotes({ loop }: RunResult): string[] {
  if (loop === undefined) return [];
  const { bios, requestsAbove, requestsBelow, copies, grown, lostReferences, flushes } = loop;
  const notes = [
    `The loop driver took ${countText(bios, 'bio')} in ${countText(requestsAbove, 'request')} and ${countText(flushes, 'flush', 'flushes')}; the device below got ${countText(requestsBelow, 'request')}, metadata of both file systems included. It made ${countText(copies, 'copy', 'copies')}.`,
  ];
  if (grown > 0) notes.push(`${countText(grown, 'write')} moved the end of the lower file.`);
  if (lostReferences > 0) {
    notes.push(
      `Direct I/O of the series dropped ${countText(lostReferences, 'reference')} on pages of bios that it did not have: that kernel would have freed pages in use.`,
    );
  }
  return notes;
}
