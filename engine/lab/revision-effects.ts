// SPDX-License-Identifier: GPL-2.0-only
/**
 * What the chosen revision of direct I/O did to a run, in words: each sentence rests on a counter of the result, none on the name of a
 * revision. Worst first.
 */
import type { RunResult, VerdictClaim } from './result.ts';
import { bytesText, countText, numberText } from './words.ts';

/** Claims for the verdict; the other ones are told by the notes. */
const VERDICT_CLAIMS_MAX = 2;

/** What belongs into the verdict: the worst, and nothing that merely explains. */
export const revisionVerdict = (result: RunResult): VerdictClaim[] =>
  revisionClaims(result)
    .filter((claim) => claim.tone !== 'plain')
    .slice(0, VERDICT_CLAIMS_MAX);

/** The rest, as notes. */
export function revisionNotes(result: RunResult): string[] {
  const told = new Set(revisionVerdict(result).map((claim) => claim.text));
  return revisionClaims(result).flatMap(({ text }) => (told.has(text) ? [] : [text]));
}

/** The sentences; empty where nothing of this kind happened. */
function revisionClaims(result: RunResult): VerdictClaim[] {
  const { revisionEffects: effects } = result;
  if (effects === undefined) return [];
  const claims: VerdictClaim[] = [];
  const add = (tone: VerdictClaim['tone'], counter: string, text: string): void => {
    claims.push({ tone, text, evidence: [`revisionEffects.${counter}`] });
  };
  const { sizeAheadOfData, lostBytes, leakedReferences, zeroPageReferences } = effects;
  if (effects.misplacedBuffers > 0) {
    add(
      'bad',
      'misplacedBuffers',
      `${countText(effects.misplacedBuffers, 'request')} moved data from or to the wrong place in memory, although the counts look right.`,
    );
  }
  if (lostBytes > 0) {
    add(
      'bad',
      'lostBytes',
      `${countText(effects.extendingInFlight, 'asynchronous write')} beyond the end of the file stayed in flight, and nobody moved the end after them: up to ${bytesText(lostBytes)} of acknowledged data lay beyond it and were cut off.`,
    );
  }
  if (effects.extendingInFlight > 0 && lostBytes === 0 && sizeAheadOfData === 0) {
    add(
      'warn',
      'extendingInFlight',
      `${countText(effects.extendingInFlight, 'asynchronous write')} beyond the end of the file stayed in flight, and did not move the end; later writes did.`,
    );
  }
  if (sizeAheadOfData > 0) {
    add(
      'warn',
      'sizeAheadOfData',
      `${countText(sizeAheadOfData, 'asynchronous write')} moved the end of the file before the data had arrived: until then a reader sees what the disk held there.`,
    );
  }
  if (leakedReferences > 0) {
    add(
      'warn',
      'leakedReferences',
      `${countText(leakedReferences, 'reference')} on pages of the buffers ${leakedReferences === 1 ? 'was' : 'were'} never dropped: such pages stay in memory for good.`,
    );
  }
  if (effects.unheldUnlocks > 0) {
    add(
      'warn',
      'unheldUnlocks',
      `${countText(effects.unheldUnlocks, 'read')} unlocked the file without having locked it; whoever held the lock kept it here, and would not have there.`,
    );
  }
  if (effects.syncedInFlight > 0) {
    add(
      'warn',
      'syncedInFlight',
      `${countText(effects.syncedInFlight, 'O_DSYNC write')} ${effects.syncedInFlight === 1 ? 'was' : 'were'} synced while the data were on their way: the completion does not say that they are durable.`,
    );
  }
  claims.push(...plainClaims(effects));
  if (zeroPageReferences !== 0) {
    add(
      'warn',
      'zeroPageReferences',
      `The reference count of the zero page is off by ${numberText(zeroPageReferences)}.`,
    );
  }
  return claims;
}

function plainClaims(effects: NonNullable<RunResult['revisionEffects']>): VerdictClaim[] {
  const claims: VerdictClaim[] = [];
  const add = (counter: string, text: string): void => {
    claims.push({ tone: 'plain', text, evidence: [`revisionEffects.${counter}`] });
  };
  if (effects.shortReadWaits > 0) {
    add(
      'shortReadWaits',
      `${countText(effects.shortReadWaits, 'asynchronous read')} came out short and ${effects.shortReadWaits === 1 ? 'was' : 'were'} waited for inside the call.`,
    );
  }
  if (effects.extendingWaits > 0) {
    add(
      'extendingWaits',
      `${countText(effects.extendingWaits, 'asynchronous write')} beyond the end of the file ${effects.extendingWaits === 1 ? 'was' : 'were'} over when the call returned: the end must not be ahead of the data.`,
    );
  }
  if (effects.answeredTwice > 0) {
    add(
      'answeredTwice',
      `${countText(effects.answeredTwice, 'asynchronous request')} returned a count and completed as well; each is counted once, at its completion.`,
    );
  }
  return claims;
}
