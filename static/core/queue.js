/**
 * What waits for the collector's answer: in memory, with a copy in storage until then.
 *
 * An event is the message as it is sent. Beside it stands what JSON leaves out, because it is a function: `done` takes
 * the receipt, `air` is there while a request has it. `ack` is the batch it left with, when the page was left.
 */
import { guard, is, now, pageId, plain, settings, sizeOf, tell } from './page.js';
import { anonymousId, choice, granted, isCookieless, read, remove, sessionId, stored, write } from './visitor.js';
import { failures, isTrusted, retryAt, wake } from './sending.js';

const EVENTS = 200; // bounds of what waits, in memory and storage
const BYTES = 8e4; // of one page, which leaves room for what others leave
const ALL_BYTES = 1e5; // of all the site's pages
const WEEK = 6048e5;
const MAX_EVENT = 32768;
const UNTOUCHED = 3000; // after so long another page may take over what this one has left

/** Oldest first. @type {any[]} */
export let queue = [];
/** Events given up, for whatever reason. */
export let dropped = 0;

const ours = () => `tw.q.${settings.key}.`;
const mine = () => ours() + pageId;
/** The keys in storage of other pages, or of all of us. */
export const keysOf = (start) => stored((storage) => Object.keys(storage).filter((name) => name.startsWith(start) && name != mine())) || [];
export const unsent = () => queue.filter((event) => !event.air);
/** Not made to wait, and the last to be given up. */
const isCommerce = ({ event }) => /^(basket|buy)$/.test(event);
/** Tell what became of an event; `queued` is not the end of it. */
export const finish = (event, receipt) => {
  receipt = { id: event.messageId, ...receipt };
  receipt.status == 'queued' || (queue = queue.filter((one) => one != event));
  tell('receipt', { event, ...receipt });
  event.done?.(receipt);
};
export const refused = (reason) => ++dropped && is('rejected', reason);

/** Put a consented event into the queue and its copy into storage, in the same task. @returns {Promise<any>} its receipt */
export const admit = (event) =>
  new Promise((done) => {
    if (!isCookieless()) event.anonymousId = anonymousId;
    event.context.sessionId = sessionId();
    event.context.consent = { choice };
    event.done = done;
    if (sizeOf(event) > MAX_EVENT) return finish(event, refused('too_large'));
    queue.push(event);
    keep();
    if (sizeOf([queue, keysOf(ours()).map(read)]) > ALL_BYTES) adopt(1);
    wake(unsent()[19] || sizeOf(unsent()) > 16384 || isCommerce(event) ? 0 : 1000);
  });

/** Keep the queue in bounds and copy it; others may take over the copy 3 s after the page is `gone`, else after its next try. */
export const keep = (gone) => {
  while (queue[EVENTS] || sizeOf(queue) > BYTES) finish(queue.find((event) => !isCommerce(event)) || queue[0], refused('too_many'));
  if (failures > 2) queue.map((event) => finish(event, is('queued', 'unreachable')));
  if (queue[0] && granted())
    write(mine(), {
      at: +now() + (gone ? 0 : Math.max(0, retryAt - performance.now())),
      events: plain(queue.filter(({ ack }) => !ack || !isTrusted)),
    });
  else remove(mine());
};

/**
 * Take over what earlier pages left and nobody has answered for, with the same ids: copied first, then deleted. From pages
 * that may still bring it themselves only if it `must` be, because all of it together is too much.
 */
export const adopt = (must) => {
  /** @type {any} */
  let again;
  const free = keysOf(ours()).filter((name) => !guard(() => {
    const { at, events } = read(name);
    const left = events.filter(({ ack }) => !document.cookie.includes(ack || '\n'));
    const wait = at + UNTOUCHED - now();
    // Longer than a page waits for its next try: its clock was another.
    if (!must && left[0] && wait > 0 && wait < 6e4) return (again = wait);
    queue = [...left.filter(({ timestamp }) => now() - Date.parse(timestamp) < WEEK || !++dropped), ...queue];
  }));
  queue.sort((a, b) => Date.parse(a.timestamp) - Date.parse(b.timestamp));
  keep();
  free.map(remove);
  wake(0);
  // Tabs that were reloaded together do not all wake at once.
  if (again) setTimeout(() => granted() && adopt(), again + Math.random() * UNTOUCHED);
};
