export { Rehearsal } from './rehearsal.ts';
export { Reports } from './reports.ts';
export { routerOptions } from './router-options.ts';
export { Routers } from './routers.ts';
