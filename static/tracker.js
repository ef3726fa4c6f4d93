/**
 * Trackway's browser tracker: `<script src="/tw/t.js" data-key="wk_…" async></script>`.
 *
 * `trackway('track', name, properties)` = `trackway.track(name, properties)`: every command answers with a promise that
 * never rejects and becomes a receipt. Before consent nothing is sent and nothing is stored; the only thing looked at is
 * the choice itself, which exists once it was given. After it every event is copied to localStorage until the collector
 * has answered for it, so that a closed tab, a reload or an outage loses nothing: the same id is counted once.
 *
 * @typedef {'accepted'|'duplicate'|'filtered'|'rejected'|'held'|'queued'} Status
 * @typedef {{id?: string, status: Status, reason?: string, path?: string}} Receipt
 */
// In the order that is shortest after gzip.
import { watchElements } from './core/elements.js';
import { anonymousId, become, choice, CONSENT, decide, IDENTITY, isCookieless, read, recall, userId } from './core/visitor.js';
import { leave, resume, send, stopped } from './core/sending.js';
import { look, newView, view, watchViews } from './core/views.js';
import { is, listen, on, plain, random, settings, tell } from './core/page.js';
import { defaults, held, local, record, setDefaults, track } from './core/events.js';
import { answerRaptor } from './core/raptor.js';
import { dropped, queue } from './core/queue.js';

/** What returns nothing has done its work here, without an event. */
const commands = {
  page: (name, properties) => newView(undefined, typeof name == 'string' ? { name, ...properties } : name),
  track,
  identify(id, traits) {
    if (typeof id == 'object') traits = id;
    else become(anonymousId, id);
    return record({ type: 'identify', traits });
  },
  group: (groupId, traits) => record({ type: 'group', groupId, traits }),
  alias(id, previousId = userId || anonymousId) {
    become(anonymousId, id);
    return record({ type: 'alias', previousId });
  },
  reset() {
    const receipt = track('reset');
    setDefaults({});
    become(random());
    return receipt;
  },
  consent: decide,
  set: (properties) => void Object.assign(defaults, plain(properties)),
  on,
  before: (filter) => on('before', filter),
  flush: send,
  status: () => ({ consent: choice, held: held.length, queued: queue.length, dropped, stopped, anonymousId, userId, view }),
  debug(wanted = true) {
    tell('debug', wanted);
    if (wanted) on('*', console.info);
  },
};
/** Load the tracker with these settings, or those of its tag. @param {any} [given] @returns {any} */
export const start = (given) => {
  const page = /** @type {any} */ (window);
  const { prerendering, currentScript: tag } = /** @type {any} */ (document);
  Object.assign(settings, given || tag?.dataset);
  const early = page[settings.name] || {};
  if (early.version) return early; // the tag stands twice on the page
  Object.assign(settings, early.config);
  settings.endpoint = new URL(settings.endpoint, tag?.src || location);

  /** @type {any} */
  let ready;
  // What changes other calls (debug, set, on, before) does not wait. Whatever goes wrong stays here.
  const trackway = async (name, ...values) => {
    try {
      !ready || /^[dsob]/.test(name) || (await ready);
      return (await commands[name](...values)) || local;
    } catch (error) {
      tell('error', error);
      return is('rejected', 'error');
    }
  };
  for (const name in commands) trackway[name] = trackway.bind(0, name);
  trackway.version = VERSION;
  trackway.settings = settings;
  page[settings.name] = trackway;
  if ('debug' in settings) trackway('debug');

  ready = (async () => {
    const browser = /** @type {any} */ (navigator);
    const objects = (/gpc/.test(settings.respect) && browser.globalPrivacyControl) || (/dnt/.test(settings.respect) && browser.doNotTrack == 1);
    // Add-ons in the same file listen by then. Where the browser objects everything waits, for ever.
    await ((objects || prerendering) && new Promise((done) => objects || listen({ prerenderingchange: done })));
    decide(read(CONSENT) || (settings.consent == 'granted' ? 'granted' : isCookieless() && { analytics: true }) || choice, {}, true);
    look(document.referrer);
    early.q?.map((call) => trackway(...call));
    watchViews();
    watchElements();
    answerRaptor();
    listen({
      online: resume,
      pagehide: leave,
      visibilitychange: () => (document.hidden ? leave() : (watchViews(), resume())),
      enableTracking: () => decide('granted'),
      storage: ({ key }) => {
        if (key == CONSENT) decide(read(key) || 'denied', {}, true);
        if (key == IDENTITY) recall(true);
      },
    });
    ready = 0;
  })();
  return trackway;
};
