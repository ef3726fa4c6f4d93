/** Page views: when one begins, and its address without what nobody should know. */
import { guard, listen, pageId, settings, tell } from './page.js';
import { queue } from './queue.js';
import { record } from './events.js';

let views = 0;
/** Its page as events tell it. @type {any} */
export let view = {};
let place = '';
/** @type {any} */
let moving = 0; // the timer in which a burst of history calls and the new title settle

/** What makes another page, as the site chose. */
const here = () => location.href.split(settings.spa == 'hash' ? '\n' : settings.spa == 'query' ? '#' : /[?#]/)[0];
/** A URL with only the allowed parameters: addresses carry e-mails and tokens more often than one thinks. */
export const clean = (url) => {
  const [, base, query, hash] = /** @type {any} */ (/([^?#]*)\??([^#]*)(.*)/.exec(url));
  const allowed = RegExp(`^(${settings.params.replace(/ +/g, '|').replace(/\*/g, '.*')})=`);
  const kept = query.split('&').filter((part) => allowed.test(part)).join('&');
  return base + (kept && '?' + kept) + (settings.spa == 'hash' ? hash : '');
};
export const look = (referrer) => {
  place = here();
  view = { url: clean(location.href), title: document.title, referrer: clean(referrer), view_id: `${pageId}.${views}` };
};
export const newView = (referrer = views ? view.url : view.referrer, properties = {}) => {
  moving = 0;
  if (views++) tell('leave');
  look(referrer);
  tell('view', view);
  return record({ type: 'page', properties });
};
export const settle = () => {
  if (moving && here() != place) newView();
  moving = 0;
};
const moved = () => (moving ||= setTimeout(settle, 50));

/** The first view counts when it is seen, then every change of place and every return from the back-forward cache. */
export let watchViews = () => {
  if (document.hidden || !/page/.test(settings.auto)) return;
  watchViews = () => {};
  newView();
  listen({
    // Of what was in the air nothing may ever be heard.
    pageshow: ({ persisted }) => persisted && (queue.map((event) => (event.air = undefined)), newView(document.referrer)),
  });
  if (settings.spa == 'off') return;
  if (window.navigation?.currentEntry) return window.navigation.addEventListener('currententrychange', moved);
  listen({ popstate: moved });
  for (const name of ['pushState', 'replaceState']) {
    const original = history[name];
    guard(() => (history[name] = (...values) => (original.apply(history, values), moved())));
  }
};
