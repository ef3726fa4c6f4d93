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
 * @typedef {Record<'analytics'|'personalization'|'marketing_activation'|'third_party_sharing', boolean>} Choice
 * @typedef {{id: string, name: string, json: string, bytes: number, done: (receipt: Receipt) => void, air?: boolean}} Entry
 *   `air`: a request has it
 */
(() => {
  'use strict';
  const VERSION = '0.1.0';
  const PURPOSES = ['analytics', 'personalization', 'marketing_activation', 'third_party_sharing'];
  const AT_ONCE = ['basket', 'buy']; // not made to wait, and the last to be given up
  const BATCH = { events: 20, bytes: 16384, wait: 1000 };
  const KEPT = { events: 200, bytes: 1e5, ms: 7 * 864e5 }; // bounds of what waits for an answer, in memory and storage
  const [MAX_HELD, MAX_EVENT] = [50, 32768]; // events that wait for consent; bytes of one
  const MAX_WAIT = 6e5; // a longer Retry-After is cut
  const IN_FLIGHT = 6e4; // browsers refuse keepalive bodies beyond 64 KiB, all scripts of the page together
  const KEEPALIVE = 'keepalive' in Request.prototype;
  const UNTOUCHED = 3000; // after so long another page may take over what this one has left
  const [CONSENT, IDENTITY] = ['tw.consent', 'tw.id'];

  const early = window.trackway || {};
  if (early.version) return; // the tag stands twice on the page
  const tag = document.currentScript || document.querySelector('script[data-key]') || { dataset: {} };
  let debugging = false;
  const log = (...words) => debugging && console.info('[trackway]', ...words);
  /** `action()`, or undefined: storage, history and other people's objects may throw at any time. */
  const guard = (action) => {
    try { return action(); } catch (error) { log(error); }
  };
  /** A setting from `window.trackway.config` or the tag's `data-…`; what is not allowed falls back. */
  const setting = (name, fallback, allowed) => {
    const value = (early.config || {})[name] ?? tag.dataset[name] ?? fallback;
    return !allowed || allowed.includes(value) ? value : log(name, value, allowed) || fallback;
  };
  debugging = setting('debug') !== undefined;
  const key = setting('key', '');
  const endpoint = new URL(setting('endpoint', '/tw/e'), tag.src || location.href).href;
  const mode = setting('consent', 'required', ['required', 'granted']);
  const spa = setting('spa', 'path', ['path', 'query', 'hash', 'off']);
  const allowed = setting('params', 'utm_* gclid dclid fbclid msclkid ttclid').replace(/\*/g, '.*').replace(/ /g, '|');
  const random = () => crypto.getRandomValues(new Uint32Array(4)).reduce((text, n) => text + n.toString(36), '');
  const page = random(); // this load of the page
  const OURS = `tw.q.${key}.`; // a page writes what is unanswered under a key of its own
  const MINE = OURS + page;
  const read = (name) => guard(() => JSON.parse(localStorage.getItem(name)));
  const write = (name, value) => guard(() => localStorage.setItem(name, value));
  const remove = (name) => guard(() => localStorage.removeItem(name));
  const leftovers = () => guard(() => Object.keys(localStorage).filter((name) => name.startsWith(OURS))) || [];
  /** `value` as JSON can hold it, five levels deep: no cycles, functions or elements; BigInt and Date as text. */
  const plain = (value, above = []) => {
    if (typeof value === 'bigint') return String(value);
    if (/fun|sym/.test(typeof value) || (typeof value === 'number' && !isFinite(value))) return undefined;
    if (!value || typeof value !== 'object') return value;
    if (value.nodeType || above.length > 4 || above.includes(value)) return undefined;
    if (value.toJSON) return plain(value.toJSON(), [...above, value]);
    const part = (name) => guard(() => plain(value[name], [...above, value])); // a getter may throw
    if (Array.isArray(value)) return value.map((_, at) => part(at));
    return Object.fromEntries(Object.keys(value).map((name) => [name, part(name)]));
  };

  // --- Who, and with which consent -----------------------------------------------------------------------------------
  /** @type {Choice|null} null: not asked yet */
  let choice = null;
  let [anonymousId, userId, defaults] = [random(), undefined, {}];
  /** @type {(value: any) => Choice} what is not named is not allowed */
  const choose = (value) =>
    Object.fromEntries(PURPOSES.map((name) => [name, value === 'granted' || (!!value && value[name] === true)]));
  const granted = () => !!choice && choice.analytics;
  const become = (id, user) => {
    [anonymousId, userId] = [id, user];
    if (granted()) write(IDENTITY, JSON.stringify({ anonymousId, userId }));
  };

  /** Take up the identity another page has stored, or store the one proposed. */
  function loadIdentity() {
    const stored = { anonymousId, ...read(IDENTITY) };
    for (const event of held) if (event.anonymousId === anonymousId) event.anonymousId = stored.anonymousId;
    become(stored.anonymousId, userId || stored.userId);
  }

  /** Make `next` the choice and tell the collector. `quiet`: another tab has told it already. */
  function decide(next, properties = {}, quiet) {
    if (choice && PURPOSES.every((name) => choice[name] === next[name])) return { status: 'accepted', reason: 'local' };
    const was = granted();
    choice = next;
    if (granted()) {
      if (!was) loadIdentity();
      held.splice(0).forEach((event) => admit(event));
      if (!was) adopt(3);
    } else {
      held.length = 0;
      for (const { id, done } of queue.splice(0)) done({ id, status: 'filtered', reason: 'consent' });
      if (was) [IDENTITY, CONSENT, ...leftovers()].forEach(remove);
    }
    // Where consent is presumed an objection must be remembered.
    if (granted() || mode === 'granted') write(CONSENT, JSON.stringify(choice));
    if (!was && !granted()) return { status: 'filtered', reason: 'consent' };
    const told = quiet || new Promise((done) => admit(stamp('track', { event: 'consent', properties }), done));
    if (!granted()) become(random());
    wake(0);
    return told;
  }

  // --- Pages ---------------------------------------------------------------------------------------------------------
  let [seq, views] = [0, 0]; // events and views of this page
  let view = { id: `${page}.0`, referrer: document.referrer };
  let moving = 0; // the timer in which a burst of history calls and the new title settle
  const place = () =>
    location.pathname + (spa === 'path' ? '' : location.search) + (spa === 'hash' ? location.hash : '');
  /** A URL with only the allowed parameters: addresses carry e-mails and tokens more often than one thinks. */
  const clean = (url) => {
    const [, base, query, hash] = /^([^?#]*)\??([^#]*)(.*)/.exec(url);
    const kept = query.split('&').filter((part) => RegExp(`^(${allowed})=`).test(part)).join('&');
    return base + (kept && `?${kept}`) + (spa === 'hash' ? hash : '');
  };
  function newView(referrer, properties = {}) {
    moving = clearTimeout(moving);
    view = { id: `${page}.${++views}`, place: place(), url: location.href, referrer };
    return record('page', { properties });
  }
  const settle = () => {
    if (moving && place() !== view.place) newView(view.url);
    moving = 0;
  };
  const moved = () => (moving = moving || setTimeout(settle, 50));

  /** The first view counts when it is seen, then every change of place and every return from the back-forward cache. */
  function watchPages() {
    if (document.hidden) return document.addEventListener('visibilitychange', watchPages, { once: true });
    newView(document.referrer);
    addEventListener('pageshow', (event) => event.persisted && newView(document.referrer));
    if (spa === 'off') return;
    if (window.navigation && navigation.currentEntry) return navigation.addEventListener('currententrychange', moved);
    addEventListener('popstate', moved);
    for (const name of ['pushState', 'replaceState']) {
      const original = history[name];
      const patched = (...values) => moved(original.apply(history, values));
      guard(() => (history[name] = patched));
    }
  }

  // --- Events --------------------------------------------------------------------------------------------------------
  /** @type {[Entry[], any[]]} what waits for an answer, oldest first; what waits for consent, in memory only */
  const [queue, held] = [[], []];
  let [dropped, burst] = [0, [0, 0]]; // given up; when this second began and its events

  /** The event with everything true at this moment: its time and page are not those of the sending. */
  function stamp(type, fields, options = {}) {
    const { pathname: path, href } = location;
    const shown = { url: clean(href), path, title: document.title, referrer: clean(view.referrer), view_id: view.id };
    const context = { page: shown, seq: ++seq };
    const own = { messageId: options.id || `${page}-${seq}`, timestamp: new Date().toISOString() };
    return { type, ...own, anonymousId, userId, ...fields, context };
  }
  function record(type, fields, options) {
    settle();
    if (performance.now() > burst[0] + 1000) burst = [performance.now(), 0];
    if (fields.properties) fields.properties = { ...defaults, ...plain(fields.properties) };
    if (choice && !granted()) return { status: 'filtered', reason: 'consent' };
    if (++burst[1] > 100 || held.length >= MAX_HELD) return refuse('too_many');
    const event = stamp(type, fields, options);
    if (choice) return new Promise((done) => admit(event, done));
    held.push(event);
    // A buy's id depends on the stored identity, which may not be looked at yet.
    return { id: orderOf(event) ? undefined : event.messageId, status: 'held', reason: 'consent' };
  }
  const orderOf = ({ event, properties: p }) => event === 'buy' && (p.order_id ?? p.orderId);
  const refuse = (reason, id, path) => ++dropped && { id, status: 'rejected', reason, path };
  /** @type {(event: any, done?: Entry['done']) => Entry} */
  const entryOf = (event, done = () => {}, json = JSON.stringify(event)) =>
    ({ id: event.messageId, name: event.event || event.type, json, bytes: new Blob([json]).size, done });
  /** FNV-1a of 128 bits: the same order from the same browser is the same id, so a reloaded page counts once. */
  const digest = (text) => {
    let sum = 0x6c62272e07bb014262b821756295c58dn;
    for (const one of text) sum = BigInt.asUintN(128, (sum ^ BigInt(one.codePointAt(0))) * 0x1000000000000000000013bn);
    return sum.toString(36);
  };
  /** Put a consented event into the queue and its copy into storage, in the same task. */
  function admit(event, done) {
    const order = orderOf(event);
    if (order) event.messageId = `buy-${digest(`${order}|${key}|${event.anonymousId}`)}`;
    event.context.consent = { categoryPreferences: choice };
    const entry = entryOf(event, done);
    const { id } = entry;
    if (queue.some((other) => other.id === id)) return entry.done({ id, status: 'duplicate' });
    if (entry.bytes > MAX_EVENT) return entry.done(refuse('too_large', id, 'properties'));
    queue.push(entry);
    keep();
    if (stopped) entry.done({ id, status: 'queued', reason: 'unreachable' });
    const waiting = queue.filter(({ air }) => !air);
    const full = waiting.length >= BATCH.events || sizeOf(waiting) >= BATCH.bytes;
    wake(full || AT_ONCE.includes(entry.name) ? 0 : BATCH.wait);
  }

  // --- The copy in storage -------------------------------------------------------------------------------------------
  const sizeOf = (entries) => entries.reduce((sum, entry) => sum + entry.bytes, 0);

  /** Keep the queue in bounds and copy it; `until` is when another page may take it over. */
  function keep(busy = inFlight && 10000) {
    while (queue.length > KEPT.events || sizeOf(queue) > KEPT.bytes) {
      const least = queue.findIndex(({ name }) => !AT_ONCE.includes(name));
      for (const { id, done } of queue.splice(Math.max(0, least), 1)) done(refuse('queue_full', id));
    }
    const until = Math.round(Date.now() + UNTOUCHED + Math.max(busy, retryAt - performance.now(), 0));
    if (!queue.length) remove(MINE);
    else if (granted()) write(MINE, `{"until":${until},"events":[${queue.map(({ json }) => json)}]}`);
  }

  /** Take over what earlier pages left, with the same ids: copied first, then deleted. */
  function adopt(tries) {
    const now = Date.now();
    const found = leftovers().filter((name) => name !== MINE).map((name) => ({ name, ...read(name) }));
    // Not its time yet, unless that time is absurd (a clock was set) or the keys pile up.
    const busy = ({ until }) => until > now && until < now + 2 * MAX_WAIT && found.length < 20;
    const free = found.filter((one) => !busy(one));
    const next = Math.min(...found.filter(busy).map(({ until }) => until));
    for (const event of free.flatMap(({ events }) => events || []).reverse()) {
      const entry = guard(() => entryOf(event));
      if (!entry || !entry.id || !(now - Date.parse(event.timestamp) < KEPT.ms)) dropped++;
      else if (!queue.some(({ id }) => id === entry.id)) queue.unshift(entry);
    }
    keep();
    for (const { name } of free) remove(name);
    wake(0);
    const again = free.length ? 3 : tries - 1; // of nothing but living pages that go on working, three looks are enough
    // Tabs that were reloaded together do not all wake at once.
    if (next < Infinity && tries) setTimeout(() => granted() && adopt(again), next - now + Math.random() * 1000);
  }

  // --- Sending -------------------------------------------------------------------------------------------------------
  let [timer, due, retryAt] = [0, 0, 0]; // times on performance.now()'s clock, which nobody sets
  let [failures, silences, stopped] = [0, 0, false]; // in a row: of any kind, without any answer
  let [inFlight, most] = [0, BATCH.events]; // bytes; halved by 413
  let timezone;
  const zone = () => (timezone ||= Intl.DateTimeFormat().resolvedOptions().timeZone);

  function wake(delay) {
    const at = Math.max(performance.now() + delay, retryAt);
    if (stopped || !queue.length || (timer && due <= at)) return;
    clearTimeout(timer);
    due = at;
    timer = setTimeout(send, at - performance.now(), false);
  }

  /** The next batch goes out, one at a time; when leaving, everything that fits beside what is in flight. */
  function send(leaving) {
    if (leaving) settle();
    else timer = 0;
    if (stopped || (inFlight && !leaving)) return;
    if (performance.now() < retryAt) return wake(0);
    const batch = [];
    let size = 500; // about what the envelope needs
    for (const entry of queue) {
      if (entry.air) continue;
      if (batch.length && (batch.length >= most || size + entry.bytes > BATCH.bytes)) break;
      batch.push(entry);
      size += entry.bytes;
    }
    if (!batch.length || (leaving && inFlight + size > IN_FLIGHT)) return;
    deliver(batch, size, leaving);
    if (leaving && inFlight && KEEPALIVE) send(leaving);
  }

  async function deliver(batch, size, leaving) {
    const { width, height } = screen;
    const library = { name: 'trackway.js', version: VERSION };
    const context = { library, locale: navigator.language, timezone: zone(), screen: { width, height } };
    const head = JSON.stringify({ writeKey: key, sentAt: new Date().toISOString(), context });
    const body = `${head.slice(0, -1)},"batch":[${batch.map(({ json }) => json)}]}`;
    // No answer comes back from a beacon: the copy stays, and whoever sends it next uses the same ids.
    const beacon = () => leaving && guard(() => navigator.sendBeacon(endpoint, body));
    if (!KEEPALIVE && beacon()) return;
    for (const entry of batch) entry.air = true;
    inFlight += size;
    keep();
    let [status, wait, answer] = [0, 0];
    try {
      // A text body is text/plain, which needs no preflight anywhere.
      const response = await fetch(endpoint, {
        method: 'POST', body, credentials: 'same-origin', keepalive: inFlight <= IN_FLIGHT,
        signal: AbortSignal.timeout && AbortSignal.timeout(10000),
      });
      const after = response.headers.get('retry-after');
      wait = Math.min(isNaN(after) ? Date.parse(after) - Date.now() : after * 1000, MAX_WAIT) || 0;
      status = response.status;
      answer = await response.json(); // an empty answer or a portal's page acknowledges nothing
    } catch {
      if (!status) beacon();
    }
    inFlight -= size;
    for (const entry of batch) entry.air = false;
    conclude(batch, status, answer, wait);
  }

  function conclude(batch, status, answer, wait) {
    const taken = status >= 200 && status < 300 && answer && typeof answer === 'object';
    const reason = (answer && answer.code) || (status ? `http_${status}` : 'unreachable');
    if (status === 413 && batch.length > 1) most = batch.length >> 1;
    else if (taken || (status >= 400 && status < 500 && status !== 408 && status !== 429)) {
      failures = silences = 0;
      if (!taken) most = BATCH.events;
      for (const entry of batch) {
        const { id, name, done } = entry;
        const found = taken && answer.receipts && answer.receipts.find((one) => one.id === id);
        const receipt = found || { id, ...(taken ? { status: 'accepted' } : { status: 'rejected', reason }) };
        log(name, receipt);
        done(receipt);
        if (queue.includes(entry)) queue.splice(queue.indexOf(entry), 1);
      }
    } else {
      silences = status ? 0 : silences + 1;
      stopped = silences > 2; // presumably blocked: until online, seen again, or the next page
      retryAt = performance.now() + Math.max(1000, wait, Math.random() * Math.min(6e4, 1000 * 2 ** ++failures));
      log(reason, stopped);
      if (failures > 2) for (const { id, done } of queue) done({ id, status: 'queued', reason });
    }
    keep();
    wake(0);
  }

  const resume = () => {
    if (stopped) [stopped, silences, retryAt] = [false, 2, 0];
    wake(0);
  };
  const leave = () => {
    send(true);
    if (queue.length) keep(0); // the next page need not wait for an answer this one will not see
  };

  // --- Commands ------------------------------------------------------------------------------------------------------
  const local = { status: 'accepted', reason: 'local' };
  const commands = {
    page: (name, properties) =>
      newView(view.url || view.referrer, typeof name === 'string' ? { name, ...properties } : name),
    track: (name, properties = {}, options) => record('track', { event: String(name), properties }, options),
    identify(id, traits = {}) {
      if (typeof id === 'object') traits = id || traits;
      else if (id) become(anonymousId, String(id));
      return record('identify', { traits: plain(traits) });
    },
    group: (id, traits = {}) => record('group', { groupId: String(id), traits: plain(traits) }),
    alias(id, previousId = userId || anonymousId) {
      become(anonymousId, String(id));
      return record('alias', { previousId: String(previousId) });
    },
    reset() {
      const receipt = record('track', { event: 'reset', properties: {} });
      defaults = {};
      become(random());
      return receipt;
    },
    consent: (value, properties) => decide(choose(value), plain(properties)),
    set: (properties) => Object.assign(defaults, plain(properties)) && local,
    status: () => ({ version: VERSION, consent: choice, held: held.length, queued: queue.length, dropped, stopped,
      anonymousId: granted() ? anonymousId : undefined, userId, view: view.id }),
    debug: (on = true) => ((debugging = on), local),
  };
  /** Runs at once; whatever goes wrong stays here. @type {(name: string, values: any[]) => Promise<Receipt>} */
  const run = async (name, values) =>
    (await guard(() => commands[name](...values))) || { status: 'rejected', reason: 'error' };
  let calls = Array.from(early.q || [], ([name, ...values]) => [name, values, () => {}]);
  const trackway = (name, ...values) =>
    calls ? new Promise((done) => calls.push([name, values, done])) : run(name, values);
  for (const name in commands) trackway[name] = (...values) => trackway(name, ...values);
  trackway.version = VERSION;
  window.trackway = trackway;

  function start() {
    const stored = read(CONSENT);
    choice = stored ? choose(stored) : mode === 'granted' ? choose(mode) : null;
    if (granted()) {
      loadIdentity();
      adopt(3);
    }
    const waiting = calls;
    calls = null;
    const first = ([name]) => /^(consent|debug|set)$/.test(name);
    const replay = ([name, values, done]) => run(name, values).then(done);
    waiting.filter(first).forEach(replay);
    if (setting('auto', 'pageview').includes('pageview')) watchPages();
    waiting.filter((call) => !first(call)).forEach(replay);
    addEventListener('online', resume);
    addEventListener('pagehide', leave);
    document.addEventListener('visibilitychange', () => (document.hidden ? leave() : resume()));
    addEventListener('storage', ({ key: name, newValue }) => {
      if (name === CONSENT && (choice || newValue)) decide(choose(read(name)), {}, true);
      if (name === IDENTITY && newValue && granted()) ({ anonymousId, userId } = read(name));
    });
    (window.requestIdleCallback || setTimeout)(zone); // costs milliseconds at its first use: best while nobody waits
  }
  document.prerendering ? document.addEventListener('prerenderingchange', start, { once: true }) : start();
})();
