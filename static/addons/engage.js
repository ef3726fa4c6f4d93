/**
 * How long a view had somebody's attention and how far down they came: `engagement` {engaged_ms, scroll_depth}, when the
 * view is left.
 *
 * Time counts while the page is visible and its window has the focus, until 30 s after the last sign of life. Who comes
 * back to a hidden page and goes on causes another event with only the time since, so the sum over a view is right. There
 * is no timer: each sign of life adds the time since the one before.
 */
const [IDLE, LEAST] = [30000, 1000]; // ms after a sign of life that still count; ms below which nothing is told
const trackway = /** @type {any} */ (window)[document.currentScript?.dataset.name || 'trackway'];

// The tag may stand twice on a page.
if (trackway && !trackway.engage) {
  let [engaged, deepest, height, timer, last, until] = [0, 0, 0, 0, 0, 0]; // ms; pixels; ms on performance.now()'s clock
  let here = false;
  /** What is scrolled: the document, or an element that fills most of the window. */
  let scroller = document.documentElement;
  let scrolled = scroller;

  /** @param {unknown} [isAlive] */
  const count = (isAlive) => {
    const now = performance.now();
    if (here) engaged += Math.max(0, Math.min(now, until) - last);
    last = now;
    if (isAlive) until = now + IDLE;
    here = !document.hidden && document.hasFocus();
  };
  const measure = () => {
    timer = 0;
    if (scrolled.clientHeight * 2 > innerHeight && scrolled.clientWidth * 2 > innerWidth) scroller = scrolled;
    height = scroller.scrollHeight;
    deepest = Math.max(deepest, scroller.scrollTop + scroller.clientHeight);
  };
  /** @param {string} types @param {(event: any) => void} listener */
  const watch = (types, listener) =>
    types.split(' ').map((type) => addEventListener(type, listener, { capture: true, passive: true }));

  watch('pointermove pointerdown keydown wheel touchmove focus blur visibilitychange', count);
  // A press may lead to another view, and its router has swapped the page by the time the old view is left.
  watch('pointerdown keydown visibilitychange pagehide', measure);
  watch('scroll', ({ target }) => {
    if (target === document) count((target = document.scrollingElement));
    scrolled = target;
    // Later the layout is done anyway.
    timer ||= +setTimeout(measure, 200);
  });
  trackway.on('leave', () => {
    count();
    if (!height) measure();
    if (engaged < LEAST) return;
    const scroll_depth = Math.min(100, Math.round((100 * deepest) / height));
    trackway.track('engagement', { engaged_ms: Math.round(engaged), scroll_depth });
    engaged = 0;
  });
  trackway.engage = trackway.on('view', () => {
    engaged = deepest = height = 0;
    scrolled = scroller = /** @type {HTMLElement} */ (document.scrollingElement);
  });
  count(true);
}
export {};
