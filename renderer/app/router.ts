// SPDX-License-Identifier: GPL-2.0-only
/** Addresses of the screens, in the fragment so that any host can serve the page from one file. Only the Lab is in the first load. */
import { createRouter, createWebHashHistory, type Router } from 'vue-router';
import LabView from '../views/LabView.vue';

export const makeRouter = (): Router =>
  createRouter({
    history: createWebHashHistory(),
    routes: [
      { path: '/', name: 'lab', component: LabView, meta: { title: 'Lab' } },
      { path: '/images', name: 'images', component: () => import('../views/ImagesView.vue'), meta: { title: 'Images' } },
      { path: '/images/view', name: 'image', component: () => import('../views/ImageView.vue'), meta: { title: 'Image' } },
      { path: '/runs', name: 'runs', component: () => import('../views/RunsView.vue'), meta: { title: 'Runs' } },
      { path: '/runs/:id', name: 'run', component: () => import('../views/RunView.vue'), props: true, meta: { title: 'Run' } },
      { path: '/grounds/:id?', name: 'grounds', component: () => import('../views/GroundsView.vue'), props: true, meta: { title: 'Grounds' } },
      { path: '/microscope', name: 'microscope', component: () => import('../views/MicroscopeView.vue'), meta: { title: 'Microscope' } },
      { path: '/dial', name: 'dial', component: () => import('../views/DialView.vue'), meta: { title: 'Revision dial' } },
      { path: '/gallery/:id?', name: 'gallery', component: () => import('../views/GalleryView.vue'), props: true, meta: { title: 'Bug gallery' } },
      { path: '/lessons/:id?', name: 'lessons', component: () => import('../views/LessonsView.vue'), props: true, meta: { title: 'Lessons' } },
      { path: '/host', name: 'host', component: () => import('../views/HostView.vue'), meta: { title: 'Host' } },
      { path: '/:rest(.*)*', redirect: '/' },
    ], // prettier-ignore
  });
