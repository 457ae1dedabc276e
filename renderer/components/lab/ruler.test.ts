// SPDX-License-Identifier: GPL-2.0-only
import { mount } from '@vue/test-utils';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import AlignmentRuler from './AlignmentRuler.vue';
import { alignmentWord } from './alignment.ts';
import { bytesPerPixel, makeAxis, partialUnits, positionOf, stepTo, ticksOf } from './ruler.ts';

describe('the geometry of the ruler', () => {
  it('shows whole units around the request, at least two', () => {
    expect(makeAxis(1536, 4096, 4096, 300)).toMatchObject({
      fromBytes: 0,
      toBytes: 8192,
      gap: null,
    });
    expect(makeAxis(0, 512, 4096, 300)).toMatchObject({ fromBytes: 0, toBytes: 8192 });
    expect(makeAxis(12_288, 4096, 4096, 300)).toMatchObject({ fromBytes: 12_288, toBytes: 20_480 });
  });
  it('leaves out the middle of a long request and keeps its ends', () => {
    const axis = makeAxis(512, 1_048_576, 4096, 300);
    expect(axis.gap).not.toBeNull();
    expect(positionOf(axis, axis.toBytes)).toBeCloseTo(300);
    expect(bytesPerPixel(axis)).toBeLessThan(60);
  });
  it('is monotonic and stays inside', () => {
    const numbers = fc.tuple(
      fc.nat(2 ** 28),
      fc.integer({ min: 1, max: 2 ** 28 }),
      fc.constantFrom(1024, 2048, 4096),
    );
    fc.assert(
      fc.property(
        numbers,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        ([start, length, unit], a, b) => {
          const axis = makeAxis(start, length, unit, 300);
          const [low, high] = [Math.min(a, b), Math.max(a, b)].map((share) =>
            positionOf(axis, axis.fromBytes + share * (axis.toBytes - axis.fromBytes)),
          ) as [number, number];
          expect(low).toBeLessThanOrEqual(high + 1e-9);
          expect(low).toBeGreaterThanOrEqual(0);
          expect(high).toBeLessThanOrEqual(300 + 1e-6);
          expect(ticksOf(axis, 512).length).toBeLessThan(200);
        },
      ),
    );
  });
  it('draws sectors only where they are wide enough', () => {
    expect(ticksOf(makeAxis(0, 4096, 4096, 300), 512)).toHaveLength(17);
    expect(ticksOf(makeAxis(0, 4096, 4096, 30), 512)).toHaveLength(3);
  });
  it('marks the blocks that are touched in part', () => {
    const marked = (start: number, length: number): number =>
      partialUnits(makeAxis(start, length, 4096, 300), start, length).length;
    expect([
      marked(0, 4096),
      marked(1536, 4096),
      marked(0, 512),
      marked(0, 4608),
      marked(512, 3584),
    ]).toEqual([0, 2, 1, 1, 1]);
  });
  it('steps on to multiples and stays within its limits', () => {
    expect([
      stepTo(100, 1, 512, 0, 4095),
      stepTo(100, -1, 512, 0, 4095),
      stepTo(4000, 2, 512, 0, 4095),
      stepTo(512, -1, 512, 0, 4095),
    ]).toEqual([512, 0, 4095, 0]);
  });
  it('names the unit that a number is a multiple of', () => {
    expect([8192, 1536, 100].map((bytes) => alignmentWord(bytes, 4096, 512))).toEqual([
      'of 4\u00a0KiB',
      'of 512\u00a0B only',
      'not of 512\u00a0B',
    ]);
  });
});

describe('the ruler itself', () => {
  const props = {
    baseOffsetBytes: 0,
    offsetBytes: 1536,
    lengthBytes: 4096,
    memoryBytes: 0,
    blockBytes: 4096,
    sectorBytes: 512,
    verdict: 'sector' as const,
  };
  it('is three sliders with their values in words', () => {
    const sliders = mount(AlignmentRuler, { props }).findAll('[role="slider"]');
    expect(sliders.map((slider) => slider.attributes('aria-label'))).toEqual([
      'Offset in the file',
      'Length of a request',
      'Offset of the buffer in its page',
    ]);
    expect(sliders[0]?.attributes('aria-valuetext')).toBe('1\u2009536 bytes');
  });
  it('moves by keys: a sector, a byte with Shift, a block with Page up, zero with Home', async () => {
    const ruler = mount(AlignmentRuler, { props });
    const offset = ruler.get('[aria-label="Offset in the file"]');
    await offset.trigger('keydown', { key: 'ArrowRight' });
    await offset.trigger('keydown', { key: 'ArrowLeft', shiftKey: true });
    await offset.trigger('keydown', { key: 'PageUp' });
    await offset.trigger('keydown', { key: 'Home' });
    expect(ruler.emitted('update:offsetBytes')).toEqual([[2048], [1535], [4096], [0]]);
    await ruler
      .get('[aria-label="Offset of the buffer in its page"]')
      .trigger('keydown', { key: 'ArrowLeft' });
    expect(ruler.emitted('update:memoryBytes')).toBeUndefined();
  });
  it('takes the colour of the verdict', async () => {
    const ruler = mount(AlignmentRuler, { props });
    expect(ruler.get('.bar').classes()).toContain('warn');
    await ruler.setProps({ verdict: 'refused' });
    expect(ruler.get('.bar').classes()).toContain('bad');
  });
});
