// SPDX-License-Identifier: GPL-2.0-only
/** The page begins here: connection first (it takes the token out of the address), then stores, router and the application. */
import { createPinia } from 'pinia';
import { createApp } from 'vue';
import App from './app/App.vue';
import { makeRouter } from './app/router.ts';
import { openConnection } from './connection/open.ts';
import { useConnectionStore } from './stores/connection.ts';
import { useSettingsStore } from './stores/settings.ts';
import './style/fonts.css';
import './style/tokens.css';
import './style/base.css';

const connection = openConnection();
const app = createApp(App);
app.use(createPinia());
useSettingsStore();
useConnectionStore().use(connection);
app.use(makeRouter());
app.mount('#app');
