// SPDX-License-Identifier: GPL-2.0-only
import { mount } from '@vue/test-utils';
import fc from 'fast-check';
import { createPinia, setActivePinia } from 'pinia';
import { beforeEach, describe, expect, it } from 'vitest';
import type { FileExtent, ImageEntry } from '../../../main/contract/index.ts';
import { catalogue } from '../../../test/support/fake-lab/data.ts';
import { extentCounts, extentIndex, extentText } from './extents.ts';
import { bytesOfBase64, fieldOfBytes, hexRow, offsetText, rowCountOf } from './hex.ts';
import { crumbsOf, joinPath, nameOf, orderEntries, parentOf, whyNotName } from './paths.ts';
import { RECIPE_PRESETS, recipeText, whyNotRecipe } from './recipes.ts';
import { targetOf, withPartition } from './target.ts';
import NameDialog from './NameDialog.vue';
import RecipeEditor from './RecipeEditor.vue';

beforeEach(() => {
  setActivePinia(createPinia());
});

describe('paths inside an image', () => {
  it('are joined and parted', () => {
    expect([joinPath('/', 'a'), joinPath('/a/b', 'c')]).toEqual(['/a', '/a/b/c']);
    expect([parentOf('/a'), parentOf('/a/b'), nameOf('/a/b')]).toEqual(['/', '/a', 'b']);
    expect(crumbsOf('/a/b').map((crumb) => crumb.path)).toEqual(['/', '/a', '/a/b']);
    expect(crumbsOf('/')).toHaveLength(1);
  });
  it('have names that can be refused', () => {
    expect(whyNotName('a.txt', ['b'])).toBeNull();
    for (const name of ['', '.', '..', 'a/b', 'b', 'ä'.repeat(128)]) {
      expect(whyNotName(name, ['b'])).not.toBeNull();
    }
  });
  const entry = (name: string, kind: ImageEntry['kind'], sizeBytes: number): ImageEntry => ({
    name, kind, sizeBytes, inodeNumber: 1,
  }); // prettier-ignore
  const list = [
    entry('.', 'directory', 1), entry('..', 'directory', 1), entry('b10', 'file', 5), entry('b9', 'file', 50),
    entry('z', 'directory', 4096), entry('A', 'file', 7),
  ]; // prettier-ignore
  const names = (filter: string, by: 'name' | 'size', isDown: boolean): string =>
    orderEntries(list, filter, { by, isDown })
      .map((each) => each.name)
      .join(' ');
  it('are ordered with folders first and numbers as numbers', () => {
    expect(names('', 'name', false)).toBe('z A b9 b10');
    expect(names('', 'name', true)).toBe('z b10 b9 A');
    expect(names('', 'size', true)).toBe('z b9 A b10');
    expect(names('B', 'name', false)).toBe('b9 b10');
  });
  it('are ordered ten thousand at a time, and none is lost', () => {
    const many = Array.from({ length: 10_000 }, (_, index) =>
      entry(`photo-${String((index * 7919) % 10_000)}`, 'file', index),
    );
    const ordered = orderEntries(many, '', { by: 'name', isDown: false });
    expect(ordered).toHaveLength(10_000);
    expect([ordered[0]?.name, ordered[9]?.name, ordered.at(-1)?.name]).toEqual([
      'photo-0', 'photo-9', 'photo-9999',
    ]); // prettier-ignore
  });
});

describe('the hex view', () => {
  const bytes = Uint8Array.from({ length: 40 }, (_, at) => at + 60);
  it('has rows of sixteen, the last one short', () => {
    expect(rowCountOf(bytes)).toBe(3);
    expect(hexRow(bytes, 0).bytes.slice(0, 3)).toEqual(['3c', '3d', '3e']);
    expect(hexRow(bytes, 2).bytes).toHaveLength(8);
    expect(hexRow(Uint8Array.of(0, 65, 200), 0).characters).toEqual(['·', 'A', '·']);
    expect([offsetText(0, 4096), offsetText(0xfa0, 0x12345678)]).toEqual(['0000', '00000fa0']);
  });
  it('reads base64 back to the byte', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (list) => {
        expect([...bytesOfBase64(btoa(String.fromCharCode(...list)))]).toEqual([...list]);
      }),
    );
  });
  it('gives each byte to the smallest field around it', () => {
    const field = (offsetBytes: number, lengthBytes: number) => ({
      name: '', value: '', help: '', offsetBytes, lengthBytes,
    }); // prettier-ignore
    expect([...fieldOfBytes([field(2, 2), field(0, 6)], 8)]).toEqual([1, 1, 0, 0, 1, 1, -1, -1]);
  });
});

describe('extents in words', () => {
  const extent = (fileBlock: number, count: number, deviceBlock: number | null, state: FileExtent['state'] = 'mapped'): FileExtent => ({ fileBlock, count, deviceBlock, state }); // prettier-ignore
  it('join what lies side by side', () => {
    const list = [extent(0, 4, 100), extent(4, 4, 104), extent(8, 8, null, 'hole'), extent(16, 2, 50, 'unwritten')]; // prettier-ignore
    expect(extentCounts(list)).toMatchObject({ extents: 2, holes: 1, unwrittenBlocks: 2 });
    expect(extentText(extentCounts(list))).toBe('In 2 pieces, 1 hole, 2 blocks unwritten');
    expect(extentIndex(list, 4096).rangeAt(9)?.use).toBe('hole');
    expect(extentIndex(list, 4096).blockCount).toBe(18);
  });
  it('tell a hole from an empty file', () => {
    expect(extentText(extentCounts([]))).toBe('No block of its own');
    expect(extentText(extentCounts([extent(0, 4, null, 'hole')]))).toContain('All of it is a hole');
  });
});

describe('recipes', () => {
  it('fit every image, small and large', () => {
    for (const imageBytes of [2 ** 20, 2 ** 24, 2 ** 30, 2 ** 40]) {
      for (const preset of RECIPE_PRESETS) {
        const recipe = preset.make(imageBytes);
        if (recipe) expect(whyNotRecipe(recipe, imageBytes)).toBeNull();
      }
    }
  });
  it('say what does not fit', () => {
    const recipe = RECIPE_PRESETS.find((each) => each.id === 'pieces')?.make(2 ** 30);
    if (!recipe) throw new Error('there is such a preset');
    expect(recipeText(recipe)).toBe('1 file, 64\u00a0MiB');
    expect(whyNotRecipe(recipe, 2 ** 20)).toContain('larger');
    const [first] = recipe.files;
    if (!first) throw new Error('it has a file');
    expect(whyNotRecipe({ ...recipe, files: [first, first] }, 2 ** 30)).toContain('twice');
    expect(whyNotRecipe({ ...recipe, files: [{ ...first, path: 'x' }] }, 2 ** 30)).toContain(
      'slash',
    );
  });
  it('are chosen and changed in the editor', async () => {
    const editor = mount(RecipeEditor, { props: { modelValue: null, imageBytes: 2 ** 30 } });
    await editor.get('#recipe-preset').setValue('pieces');
    const [recipe] = editor.emitted('update:modelValue')?.[0] as [{ files: { extents: number }[] }];
    expect(recipe.files[0]?.extents).toBe(16);
    await editor.setProps({ modelValue: recipe as never });
    await editor.get('[aria-label="Pieces of file 1"]').setValue('7');
    const [changed] = editor.emitted('update:modelValue')?.at(-1) as [typeof recipe];
    expect(changed.files[0]?.extents).toBe(7);
    expect(editor.get<HTMLSelectElement>('#recipe-preset').element.value).toBe('own');
  });
});

describe('a run from an image', () => {
  it('aims at the file of the partition, without consent', () => {
    const target = targetOf(catalogue, { path: '/a.img', partition: 2 }, '/f');
    expect(target).toMatchObject({ device: { id: 'image-file', options: { path: '/a.img' } }, partition: 2, filePath: '/f', consentToWrite: false }); // prettier-ignore
    expect('partition' in withPartition(target, null)).toBe(false);
    expect(withPartition(target, 3).partition).toBe(3);
    expect('partition' in targetOf(null, { path: '/a.img', partition: null }, null)).toBe(false);
  });
  it('is not on a device that only stands on the image', () => {
    const path = { type: 'path', title: 'Image', help: '', default: '' } as const;
    const below = { type: 'choice', title: 'Over', help: '', choices: ['image-file'], default: 'image-file' } as const;
    const over = { id: 'faulty', title: 'Faults', help: '', options: { below, path }, unavailableWhy: null };
    const listed = { ...catalogue, devices: [over, ...catalogue.devices] };
    const target = targetOf(listed, { path: '/a.img', partition: null }, '/f');
    expect(target.device.id).toBe('image-file');
  }); // prettier-ignore
});

describe('asking for a name', () => {
  it('takes only what can be', async () => {
    const dialog = mount(NameDialog, {
      props: { open: false, title: 'T', label: 'Name', start: '/a', action: 'Do', whyNot: (text: string) => (text === 'bad' ? 'no' : null) },
      global: { stubs: { Modal: { template: '<div><slot /><slot name="footer" /></div>' } } },
    }); // prettier-ignore
    await dialog.setProps({ open: true });
    await dialog.get('#name-field').setValue('bad');
    await dialog.get('form').trigger('submit');
    expect(dialog.emitted('take')).toBeUndefined();
    expect(dialog.text()).toContain('no');
    await dialog.get('#name-field').setValue('good');
    await dialog.get('form').trigger('submit');
    expect(dialog.emitted('take')).toEqual([['good']]);
  });
});
