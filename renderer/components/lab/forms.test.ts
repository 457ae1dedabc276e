// SPDX-License-Identifier: GPL-2.0-only
import { mount } from '@vue/test-utils';
import { describe, expect, it } from 'vitest';
import { formatExactBytes, joinShown, parseBytes } from '../../format/numbers.ts';
import ParsedField from '../base/ParsedField.vue';
import { requestFromQuery, requestToQuery, FIRST_REQUEST } from '../microscope/request.ts';
import { traceRowText } from '../microscope/trace-text.ts';
import { droppedPath, pathInText } from './dropped.ts';
import OptionFields from './OptionFields.vue';
import { directionOf, orderOf, patternOf } from './patterns.ts';

const bytes = {
  show: (value: number) => joinShown(formatExactBytes(value)),
  read: parseBytes,
  expected: 'a size',
  step: (value: number, steps: number) => value + steps * 512,
};

describe('a field that reads what people write', () => {
  it('gives the value while typing and shows its form afterwards', async () => {
    const field = mount(ParsedField, {
      props: {
        modelValue: 4096,
        ...bytes,
        'onUpdate:modelValue': (value: number) => field.setProps({ modelValue: value }),
      },
    });
    const input = field.get('input');
    await input.trigger('focus');
    await input.setValue('64k');
    expect(field.emitted('update:modelValue')).toEqual([[65536]]);
    expect(input.element.value).toBe('64k');
    await input.trigger('blur');
    expect(input.element.value).toBe('64\u00a0KiB');
  });
  it('keeps the last good value and says what it expects', async () => {
    const field = mount(ParsedField, { props: { modelValue: 4096, ...bytes } });
    await field.get('input').setValue('lots');
    expect(field.get('input').attributes('aria-invalid')).toBe('true');
    expect(field.text()).toContain('a size');
    expect(field.emitted('update:modelValue')).toBeUndefined();
    await field.get('input').trigger('blur');
    expect(field.get('input').element.value).toBe('4\u00a0KiB');
  });
  it('steps by arrows, tenfold with Shift', async () => {
    const field = mount(ParsedField, { props: { modelValue: 4096, ...bytes } });
    await field.get('input').trigger('keydown', { key: 'ArrowUp' });
    await field.get('input').trigger('keydown', { key: 'ArrowDown', shiftKey: true });
    expect(field.emitted('update:modelValue')).toEqual([[4608], [-1024]]);
  });
});

describe('options of a module', () => {
  it('become fields by their types', () => {
    const schema = {
      size: {
        type: 'quantity',
        title: 'Size',
        help: '',
        unit: 'B',
        default: 65536,
        min: 512,
        max: 2 ** 30,
      },
      kind: { type: 'choice', title: 'Kind', help: '', choices: ['a', 'b'], default: 'b' },
      keep: { type: 'flag', title: 'Keeps data', help: '', default: true },
    } as const;
    const form = mount(OptionFields, { props: { schema, modelValue: {} } });
    expect(form.get('input[type="text"]').element).toMatchObject({ value: '64\u00a0KiB' });
    expect(form.get('select').element.value).toBe('b');
    expect((form.get('input[type="checkbox"]').element as HTMLInputElement).checked).toBe(true);
    void form.get('select').setValue('a');
    expect(form.emitted('update:modelValue')).toEqual([[{ kind: 'a' }]]);
  });
});

describe('patterns, drops and links', () => {
  it('turn two choices into fio’s six patterns and back', () => {
    for (const rw of ['read', 'write', 'randread', 'randwrite', 'rw', 'randrw'] as const) {
      expect(patternOf(orderOf(rw), directionOf(rw))).toBe(rw);
    }
  });
  it('find a path in what was dropped', async () => {
    expect(pathInText('# x\nfile:///srv/my%20disk.img\n')).toBe('/srv/my disk.img');
    expect([pathInText('https://a/b'), pathInText(''), pathInText('/a.img')]).toEqual([
      null,
      null,
      '/a.img',
    ]);
    expect((await droppedPath(null, () => null)).kind).toBe('none');
  });
  it('keep a request in its address', () => {
    const request = { ...FIRST_REQUEST, op: 'write' as const, offsetBytes: 7, isDsync: true };
    expect(
      requestFromQuery(requestToQuery(request) as Record<string, string>, FIRST_REQUEST),
    ).toEqual(request);
    expect(requestFromQuery({ offset: '-1', length: 'x', memory: '5000' }, FIRST_REQUEST)).toEqual(
      FIRST_REQUEST,
    );
  });
  it('name the values of a trace row', () => {
    const row = { index: 0, kind: 'bio-end' as const, atNs: 0, dioId: 0, bioId: 3, values: [0] };
    expect(traceRowText(row)).toEqual({
      kind: 'bio-end',
      title: 'bio completed',
      bio: '3',
      values: 'error 0',
    });
  });
});
