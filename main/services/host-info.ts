// SPDX-License-Identifier: GPL-2.0-only
/** What this host can do, and every visible list as data: forms, flags and "cannot run here" notes come from here. */
import { cpus, platform, release } from 'node:os';
import { DEVICES, EXECUTORS, FILE_SYSTEMS, REVISIONS } from '../../engine/lab/lists.ts';
import type { FileSystemModule } from '../../engine/vfs/index.ts';
import type { Catalogue, HostFact, HostFacts, ModuleInfo } from '../contract/types.ts';
import type { EngineHost } from '../host/engine-host.ts';
import { canMake } from './images.ts';
import type { Paths } from './paths.ts';
import { presets } from './presets.ts';
import { hasSystemMkfs } from './workbench/system-mkfs.ts';

export type Face = HostFacts['face'];

export class HostInfo {
  private facts: Promise<HostFact[]> | null = null;

  constructor(
    private readonly engine: EngineHost,
    private readonly paths: Paths,
    private readonly face: Face,
    private readonly version: string,
  ) {}

  /** Probes the host anew. `folder`: where O_DIRECT is asked for; the data folder where it is not given. */
  async report(folder?: string): Promise<HostFacts> {
    const facts = await this.engine.call('facts', { folder: folder ?? this.paths.images });
    if (folder === undefined) this.facts = Promise.resolve(facts);
    return {
      facts,
      platform: platform(),
      kernel: release(),
      cpu: cpus()[0]?.model ?? 'unknown',
      dataFolder: this.paths.data,
      version: this.version,
      face: this.face,
    };
  }

  async catalogue(): Promise<Catalogue> {
    this.facts ??= this.engine.call('facts', { folder: this.paths.images });
    const facts = await this.facts.catch((error: unknown) => {
      this.facts = null; // asked again the next time
      throw error;
    });
    const whyNot = (factId: string): string | null => {
      const fact = facts.find(({ id }) => id === factId);
      return fact?.state === 'no' ? fact.text : null;
    };
    return {
      devices: DEVICES.map((module) =>
        moduleInfo(module, module.needs.includes('loops') ? whyNot('helper') : null),
      ),
      fileSystems: FILE_SYSTEMS.map((module) => ({
        ...moduleInfo(module, null),
        canWrite: module.supports.write === true,
        canFormat: canMake(module),
        formatters: formattersOf(module),
      })),
      executors: EXECUTORS.map((module) => moduleInfo(module, whyNot(`executor.${module.id}`))),
      revisions: REVISIONS.map(({ id, title, releasedOn, basedOn }) => ({
        id,
        title,
        releasedOn,
        basedOn: basedOn?.id ?? null,
      })),
      presets: presets(this.paths.images),
    };
  }
}

/** Who can make it: the lab's own code, and the host's mkfs where it is installed. */
function formattersOf(module: FileSystemModule): ('lab' | 'system')[] {
  return [
    ...(canMake(module) ? (['lab'] as const) : []),
    ...(hasSystemMkfs(module.id) ? (['system'] as const) : []),
  ];
}

function moduleInfo(
  module: Omit<ModuleInfo, 'unavailableWhy'>,
  unavailableWhy: string | null,
): ModuleInfo {
  const { id, title, help, options } = module;
  return { id, title, help, options, unavailableWhy };
}
