/**
 * The page's data layer, read and never touched.
 *
 * The array keeps what was pushed, so nothing need stand between the page and its `push`: what matters is to look at the
 * right moments. These come anyway: what people do, what was loaded (the request that was answered before a push, and
 * the hit that Google's tags send because of it), what the tracker itself goes through. The latest is leaving the page.
 */

/** The tracker, under the name its tag gives it. */
export const trackway = /** @type {any} */ (window)[document.currentScript?.dataset.name ?? 'trackway'];

const SIGNS = 'DOMContentLoaded load click change message'.split(' ');
const DELAY = 200; // ms in which what a sign announces has mostly been pushed

/**
 * Soon and at every later moment: `take(entry)` for each that was pushed till then, then `take()`. What it throws is dropped.
 * `trackway[addon]()` looks at once.
 * @param {string} addon whose it is: the tag may stand twice on a page
 * @param {(entry?: any) => void} take
 */
export function watch(addon, take) {
  if (trackway[addon]) return;
  const name = trackway.settings.shop ?? 'dataLayer';
  let next = 0;
  let timer = 0;
  /** @type {any} the entry before `next` */
  let last;
  const offer = (/** @type {any} */ entry) => {
    try {
      take(entry);
    } catch {} // other people's objects and functions may throw at any time
  };
  const look = () => {
    timer = 0;
    const layer = /** @type {any} */ (window)[name];
    if (Array.isArray(layer)) {
      // Tag Manager drops the oldest beyond 300, and a page may begin a new array.
      if (layer[next - 1] !== last) next = layer.lastIndexOf(last) + 1;
      while (next < layer.length) offer((last = layer[next++]));
    }
    offer(undefined);
  };
  const soon = () => {
    timer ||= +setTimeout(look, DELAY);
  };
  for (const sign of SIGNS) addEventListener(sign, soon, true);
  // Before the tracker's last batch: it listens to the same from a moment later on.
  for (const sign of ['pagehide', 'visibilitychange']) addEventListener(sign, look, true);
  new PerformanceObserver(soon).observe({ type: 'resource' });
  trackway.on('*', soon);
  soon(); // the first view comes first
  trackway[addon] = look;
}
