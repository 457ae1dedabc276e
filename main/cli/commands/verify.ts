// SPDX-License-Identifier: GPL-2.0-only
/** verify: fsck, and every file through the kernel's own mount and through the engine. */
import { HostError } from '../../../engine/base/index.ts';
import type { VerifyEvent, VerifyResult } from '../../contract/grounds.ts';
import { EXIT } from '../errors.ts';
import type { VerifyOptions } from '../ground-commands.ts';
import { placeOf } from '../place.ts';
import { TransferLine } from '../progress.ts';
import { line, type Terminal } from '../terminal.ts';
import { runIdOf } from './runs.ts';

const PHASES: Readonly<Record<(VerifyEvent & { kind: 'progress' })['phase'], string>> = {
  waiting: 'Waiting for the run before it',
  fsck: 'Checking by fsck',
  engine: 'Reading by the engine',
  kernel: "Reading by the kernel's own mount",
};

async function follow(
  terminal: Terminal,
  events: AsyncIterable<VerifyEvent>,
): Promise<VerifyResult> {
  const bar = new TransferLine(terminal);
  let phase = '';
  try {
    for await (const event of events) {
      terminal.signal.throwIfAborted();
      if (event.kind === 'done') return event.result;
      if (event.phase !== phase) {
        bar.end();
        phase = event.phase;
        terminal.error(line(PHASES[event.phase]));
      }
      if (event.file !== '') bar.show(event);
    }
  } finally {
    bar.end();
  }
  terminal.signal.throwIfAborted();
  throw new HostError({
    code: 'verify.no-end',
    message: 'The verification ended without a word',
    exitCode: EXIT.software,
  });
}

export function verifyText({ fsck, comparison }: VerifyResult): string {
  const lines = [`fsck: ${fsck.state}: ${fsck.text}`];
  if (fsck.state === 'damaged') lines.push(...fsck.output.trimEnd().split('\n').slice(-12));
  lines.push(`comparison: ${comparison.state}: ${comparison.text}`);
  return `${lines.join('\n')}\n`;
}

/** 1: damaged, or different. What could not be done is told, and is no failure. */
export async function verify(
  terminal: Terminal,
  image: string,
  options: VerifyOptions,
): Promise<number> {
  const { client } = await terminal.session();
  const runId = options.run === undefined ? null : await runIdOf(client, options.run);
  const ask = { ...placeOf(image, options), runId };
  const { signal } = terminal;
  const result = await follow(terminal, await client.verify.run(ask, { signal }));
  await terminal.out(options.json ? line(JSON.stringify(result, null, 2)) : verifyText(result));
  const isBad = result.fsck.state === 'damaged' || result.comparison.state === 'different';
  return isBad ? EXIT.mismatch : EXIT.ok;
}
