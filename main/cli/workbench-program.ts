// SPDX-License-Identifier: GPL-2.0-only
/** The words of the commands on images and what is in them. */
import { Option, type Command } from 'commander';
import type { JsonOptions, PlaceOptions } from './place.ts';
import type { Terminal } from './terminal.ts';

type Finish = (code: number) => void;
type Look = PlaceOptions & JsonOptions;
type Change = Look & { readonly consent: boolean };

export const CONSENT = 'agree that data in an image which diolab did not make may change';
const collect = (value: string, sofar: readonly string[]): string[] => [...sofar, value];

export interface MkfsOptions {
  readonly fs: string;
  readonly size: string;
  readonly blockSize?: string;
  readonly option: readonly string[];
  readonly label?: string;
  readonly preallocate: boolean;
  readonly formatter: 'lab' | 'system';
  readonly layout: readonly string[];
  readonly freePieces?: string;
  readonly seed: string;
  readonly force: boolean;
  readonly json: boolean;
}

/** A command on an image, with what all of them take. */
function imageCommand(program: Command, name: string, description: string): Command {
  return program.command(name).description(description).argument('<image>', 'image file');
}
const withPlace = (command: Command): Command =>
  command
    .option('--partition <n>', 'a partition of it, as diolab partitions numbers them')
    .option('--json', 'as JSON', false);
const withConsent = (command: Command): Command =>
  withPlace(command).option('--consent', CONSENT, false);

function addMaking(program: Command, terminal: Terminal, finish: Finish): void {
  program
    .command('mkfs')
    .description('make an image file with a file system in it')
    .argument('<image>', 'the file to make')
    .requiredOption('--fs <id>', 'file system, for example ext4')
    .requiredOption('--size <size>', 'size of the image, for example 256m')
    .option('--block-size <bytes>', 'block size of the file system')
    .option('--label <text>', 'its label')
    .option('--option <key=value>', 'another option of the file system (repeatable)', collect, [])
    .option(
      '--preallocate',
      'take all blocks of this machine at once, instead of a sparse file',
      false,
    )
    .addOption(
      new Option('--formatter <whose>', "diolab's own mkfs, or this machine's")
        .choices(['lab', 'system'])
        .default('lab'),
    )
    .option(
      '--layout <recipe>',
      'lay a file out: PATH:SIZE[:extents=N,holes=N,unwritten] (repeatable)',
      collect,
      [],
    )
    .option('--free-pieces <size>', 'cut the free space into pieces of about this length')
    .option('--seed <n>', 'of the layout', '1')
    .option('--force', 'replace an existing regular file', false)
    .option('--json', 'as JSON', false)
    .action(async (image: string, options: MkfsOptions) => {
      const { mkfs } = await import('./commands/images.ts');
      finish(await mkfs(terminal, image, options));
    });
}

function addCopying(program: Command, terminal: Terminal, finish: Finish): void {
  withPlace(imageCommand(program, 'cat', 'write a file inside an image to standard output'))
    .argument('<path>', 'file inside it')
    .action(async (image: string, path: string, options: Look) => {
      const { cat } = await import('./commands/files.ts');
      finish(await cat(terminal, image, path, options));
    });
  withConsent(imageCommand(program, 'put', 'copy a file or folder of this machine into an image'))
    .argument('<local>', 'file or folder of this machine; - reads standard input')
    .argument('<path>', 'where it goes; a file that is there is replaced when the new one is whole')
    .action(async (image: string, local: string, path: string, options: Change) => {
      const { put } = await import('./commands/files.ts');
      finish(await put(terminal, image, local, path, options));
    });
  withPlace(imageCommand(program, 'get', 'copy a file or folder inside an image to this machine'))
    .argument('<path>', 'file or folder inside it')
    .argument('<local>', 'what to make; an existing file is refused without --force')
    .option('--force', 'replace an existing file', false)
    .action(
      async (
        image: string,
        path: string,
        local: string,
        options: Look & { readonly force: boolean },
      ) => {
        const { get } = await import('./commands/files.ts');
        finish(await get(terminal, image, path, local, options));
      },
    );
}

function addLooking(program: Command, terminal: Terminal, finish: Finish): void {
  withPlace(imageCommand(program, 'ls', 'list a folder inside an image'))
    .argument('<path>', 'folder inside it, for example /')
    .option('-l, --long', 'with inode numbers', false)
    .option('-R, --recursive', 'with everything below', false)
    .action(
      async (
        image: string,
        path: string,
        options: Look & { readonly long: boolean; readonly recursive: boolean },
      ) => {
        const { ls } = await import('./commands/images.ts');
        finish(await ls(terminal, image, path, options));
      },
    );
  withPlace(
    imageCommand(program, 'map', "print a file's extents as filefrag does, or what each block is"),
  )
    .argument('[path]', 'file inside it; without: the whole image')
    .option('--width <characters>', 'of the map of the whole image')
    .action(
      async (
        image: string,
        path: string | undefined,
        options: Look & { readonly width?: string },
      ) => {
        const { map } = await import('./commands/images.ts');
        finish(await map(terminal, image, path ?? null, options));
      },
    );
  withPlace(imageCommand(program, 'stat', 'tell facts of the file system or of a file in it'))
    .argument('[path]', 'file or folder inside it; without: the file system')
    .action(async (image: string, path: string | undefined, options: Look) => {
      const { stat } = await import('./commands/workbench.ts');
      finish(await stat(terminal, image, path ?? null, options));
    });
  withPlace(imageCommand(program, 'frag', 'tell how fragmented files and free space are')).action(
    async (image: string, options: Look) => {
      const { frag } = await import('./commands/workbench.ts');
      finish(await frag(terminal, image, options));
    },
  );
  withPlace(imageCommand(program, 'block', 'show a block: what it is, its fields, its bytes'))
    .argument('<number>', 'of the block')
    .action(async (image: string, number: string, options: Look) => {
      const { block } = await import('./commands/workbench.ts');
      finish(await block(terminal, image, number, options));
    });
  imageCommand(program, 'partitions', 'list the partitions of an image')
    .option('--json', 'as JSON', false)
    .action(async (image: string, options: { json: boolean }) => {
      const { partitions } = await import('./commands/workbench.ts');
      finish(await partitions(terminal, image, options));
    });
}

function addChanging(program: Command, terminal: Terminal, finish: Finish): void {
  withConsent(imageCommand(program, 'fsck', "run the file system's own checker; 1: damaged"))
    .option('--repair', 'let it repair what it finds, after a snapshot', false)
    .action(async (image: string, options: Change & { readonly repair: boolean }) => {
      const { fsck } = await import('./commands/workbench.ts');
      finish(await fsck(terminal, image, options));
    });
  withConsent(imageCommand(program, 'mkdir', 'make a folder inside an image'))
    .argument('<path>', 'of the folder')
    .action(async (image: string, path: string, options: Change) => {
      const { mkdir } = await import('./commands/workbench.ts');
      finish(await mkdir(terminal, image, path, options));
    });
  withConsent(imageCommand(program, 'rm', 'remove a file, or a folder with everything in it'))
    .argument('<path>', 'file or folder inside it')
    .action(async (image: string, path: string, options: Change) => {
      const { rm } = await import('./commands/workbench.ts');
      finish(await rm(terminal, image, path, options));
    });
  withConsent(imageCommand(program, 'mv', 'move or rename a file or folder inside an image'))
    .argument('<from>', 'what is there')
    .argument('<to>', 'what it is called then; must not exist')
    .action(async (image: string, from: string, to: string, options: Change) => {
      const { mv } = await import('./commands/workbench.ts');
      finish(await mv(terminal, image, from, to, options));
    });
}

function addSnapshots(program: Command, terminal: Terminal, finish: Finish): void {
  const snapshot = program
    .command('snapshot')
    .description('keep an image as it is, and put it back');
  imageCommand(snapshot, 'make', 'keep the image as it is now; prints its id')
    .option('--note <text>', 'about it', '')
    .option('--json', 'as JSON', false)
    .action(async (image: string, options: { json: boolean; note: string }) => {
      const { snapshotMake } = await import('./commands/workbench.ts');
      finish(await snapshotMake(terminal, image, options));
    });
  snapshot
    .command('list')
    .description('list snapshots')
    .argument('[image]', 'image file; without: of all')
    .option('--json', 'as JSON', false)
    .action(async (image: string | undefined, options: { json: boolean }) => {
      const { snapshotList } = await import('./commands/workbench.ts');
      finish(await snapshotList(terminal, image ?? null, options));
    });
  snapshot
    .command('restore')
    .description('put it back; the image as it was is kept as a snapshot')
    .argument('<id>', 'of the snapshot')
    .option('--consent', CONSENT, false)
    .option('--json', 'as JSON', false)
    .action(async (id: string, options: { json: boolean; consent: boolean }) => {
      const { snapshotRestore } = await import('./commands/workbench.ts');
      finish(await snapshotRestore(terminal, id, options));
    });
  snapshot
    .command('remove')
    .description('remove it for good')
    .argument('<id>', 'of the snapshot')
    .option('--json', 'as JSON', false)
    .action(async (id: string, options: { json: boolean }) => {
      const { snapshotRemove } = await import('./commands/workbench.ts');
      finish(await snapshotRemove(terminal, id, options));
    });
  for (const command of snapshot.commands) command.exitOverride().copyInheritedSettings(program);
}

/** All commands on images. */
export function addImageCommands(program: Command, terminal: Terminal, finish: Finish): void {
  addMaking(program, terminal, finish);
  addLooking(program, terminal, finish);
  addCopying(program, terminal, finish);
  addChanging(program, terminal, finish);
  addSnapshots(program, terminal, finish);
}
