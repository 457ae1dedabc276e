// SPDX-License-Identifier: GPL-2.0-only
/** For tools that do not read .vue files themselves; vue-tsc sees the components' own types. */
declare module '*.vue' {
  import type { Component } from 'vue';
  const component: Component;
  export default component;
}
