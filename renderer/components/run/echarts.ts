// SPDX-License-Identifier: GPL-2.0-only
/** ECharts with only what our plots use. Imported lazily: it is not part of the first screen. */
import { LineChart } from 'echarts/charts';
import { GridComponent, MarkLineComponent, TooltipComponent } from 'echarts/components';
import { LabelLayout } from 'echarts/features';
import { connect, init, use, type ECharts, type EChartsCoreOption } from 'echarts/core';
import { CanvasRenderer, SVGRenderer } from 'echarts/renderers';

use([
  LineChart,
  GridComponent,
  TooltipComponent,
  MarkLineComponent,
  LabelLayout,
  CanvasRenderer,
  SVGRenderer,
]);
/** Charts of this group show the same cursor. */
export const TIMELINE_GROUP = 'timeline';
connect(TIMELINE_GROUP);

/**
 * ECharts empties its element by assigning '' to innerHTML, which a page that requires trusted types forbids. Emptying is all it does
 * there, so the element gets that by another way.
 */
function withoutMarkup(element: HTMLElement): HTMLElement {
  Object.defineProperty(element, 'innerHTML', {
    configurable: true,
    get: () => '',
    set(text: string) {
      if (text !== '') throw new TypeError('no markup from text');
      element.replaceChildren();
    },
  });
  return element;
}
export const makeChart = (element: HTMLElement): ECharts =>
  init(withoutMarkup(element), null, { renderer: 'canvas' });

/** The chart as SVG text, without touching the page. */
export function chartToSvg(
  option: EChartsCoreOption,
  width: number,
  height: number,
  backgroundColor: string,
): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption({ ...option, backgroundColor });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}
export type { ECharts, EChartsCoreOption };
