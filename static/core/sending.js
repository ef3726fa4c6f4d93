/** Batches on their way: one request at a time, again after failures, and everything at once when the page is left. */
import { guard, is, json, now, plain, random, settings, sizeOf, tell } from './page.js';
import { settle } from './views.js';
import { isCookieless } from './visitor.js';
import { finish, keep, queue, unsent } from './queue.js';

const EVENTS = 20; // a batch
const BYTES = 16384;
const TIMEOUT = 1e4;
const IN_FLIGHT = 6e4; // browsers refuse keepalive bodies beyond 64 KiB, all scripts of the page together

/** @type {any} */
let timer = 0;
/** In a row. */
export let failures = 0;
let most = EVENTS; // one after a 413
/** Nothing goes out before, by performance.now(), which nobody sets; of a request in the air: when it is given up. */
export let retryAt = 0;
/** Presumably blocked: until online, seen again, or the next page. */
export let stopped = false;
let air = 0; // bytes in flight
/** Whether what leaves with the page is trusted to arrive: on another host no cookie can tell, but it has answered. */
export let isTrusted = false;

export const wake = (delay) => {
  if (!queue[0] || (timer && delay)) return;
  clearTimeout(timer);
  timer = setTimeout(send, Math.max(delay, retryAt - performance.now()));
};

const shared = ({ context }) => json(context);
/** What all events of a batch share stands once, in the batch's context. */
const bodyOf = (batch, ack) =>
  json({
    version: VERSION, writeKey: settings.key, sentAt: now(), ack, cookieless: isCookieless(),
    context: {
      screen: screen.width + 'x' + screen.height,
      timezone: /** @type {any} */ (window).Temporal?.Now.timeZoneId() || Intl.DateTimeFormat().resolvedOptions().timeZone, webdriver: navigator.webdriver, ...batch[0].context,
    },
    batch: plain(batch.map((event) => (shared(event) == shared(batch[0]) ? { ...event, context: undefined } : event))),
  });

/** The next batch goes out, one at a time; or when the page is left `leaving` events, as far as they fit beside what is in flight. */
export const send = async (leaving) => {
  timer = 0;
  if (stopped) return;
  if (performance.now() < retryAt && !(air && leaving)) return wake(0);
  const batch = unsent().slice(0, leaving || most);
  const room = leaving ? IN_FLIGHT - air : BYTES;
  while (batch[leaving ? 0 : 1] && sizeOf(batch) > room) batch.pop();
  const ack = leaving && random().slice(-9);
  const size = sizeOf(batch);
  if (!batch[0]) return;
  const body = bodyOf(batch, ack);
  /** @type {any} */
  let status = 0;
  let wait = 0;
  let answer, isBeacon;
  tell('send', { batch, leaving });
  for (const event of batch) {
    event.air = send;
    event.ack = ack;
  }
  air += size;
  if (!leaving) retryAt = performance.now() + TIMEOUT;
  keep();
  try {
    // A text body is text/plain, which needs no preflight anywhere; that our cookies are SameSite keeps them to the site.
    const response = await fetch(settings.endpoint, {
      method: 'POST', body, credentials: 'include', keepalive: true, signal: AbortSignal.timeout?.(TIMEOUT),
    });
    wait = /** @type {any} */ (response.headers.get('retry-after')) * 1000 || 0;
    status = response.status;
    answer = await response.json(); // an empty answer or a portal's page acknowledges nothing
  } catch {
    // No answer comes back from a beacon: the copy stays, and whoever sends it next uses the same ids.
    isBeacon = leaving && !status && guard(() => navigator.sendBeacon(settings.endpoint, body));
  }
  air -= size;
  retryAt = 0;
  for (const event of batch) {
    event.air = undefined;
    event.ack = isBeacon ? ack : undefined;
  }
  const receipts = answer?.receipts;
  const reason = answer?.code || status || 'unreachable';
  most = EVENTS;
  if (status == 413 && batch[1]) most = 1;
  else if (receipts || /^4(?!08|29)/.test(status)) {
    failures = 0;
    isTrusted = settings.endpoint.host != location.host;
    const named = batch[/** @type {any} */ (/\[(\d+)/.exec(answer?.path)?.[1])];
    (named ? [named] : batch).map((event, at) => finish(event, receipts ? receipts[at] : is('rejected', reason)));
  } else {
    // From 4 s up to a minute: the third try comes after an outage of ten seconds.
    wait = Math.max(wait, (1 + Math.random()) * 3e4 * (1 - 0.87 ** ++failures));
    (stopped = failures > 2 && !status) || (retryAt = performance.now() + wait);
    tell('retry', { reason, wait });
  }
  keep();
  wake(0);
};

export const resume = () => {
  stopped = false;
  wake(0);
};
export const leave = (gone) => {
  tell('leave');
  settle();
  send(200);
  if (queue[0]) keep(gone);
};
