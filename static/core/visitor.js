/** Who the visitor is, in which session, and with which consent. */
import { admit, adopt, finish, keysOf, queue } from './queue.js';
import { guard, is, json, now, plain, random, settings, tell } from './page.js';
import { forget, held, stamp } from './events.js';
import { send } from './sending.js';

export const [CONSENT, IDENTITY, SESSION] = ['tw.consent', 'tw.id', 'tw.session'];

/** `'granted'`, `'denied'` or the purposes allowed; undefined: not asked yet. @type {any} */
export let choice;
export let anonymousId = random();
/** @type {string|undefined} */
export let userId;
/** `at`: its latest event. @type {any} */
let session = {};

export const isCookieless = () => settings.consent == 'cookieless';
/** What `action` finds in storage, where the site wants any and the browser lets us. @returns {any} */
export const stored = (action) => isCookieless() ? undefined : guard(() => action(localStorage));
export const read = (name) => stored((storage) => JSON.parse(storage[name] || null));
export const write = (name, value, isAllowed = granted()) => isAllowed && stored((storage) => (storage[name] = json(value)));
export const remove = (name) => stored((storage) => delete storage[name]);

export const granted = () => choice == 'granted' || choice?.analytics === true;

export const become = (id, user) => {
  anonymousId = id;
  userId = user;
  write(IDENTITY, { anonymousId, userId });
};
/** Take up the identity that another page has stored, or store the one proposed; `isNews`: that page knows better. */
export const recall = (isNews) => {
  const known = read(IDENTITY);
  become(known?.anonymousId || anonymousId, (!isNews && userId) || known?.userId);
};

/** The session that this moment belongs to, shared by all tabs: a hint, the server decides. */
export const sessionId = () => {
  const at = +now();
  session = read(SESSION) || session;
  if (!(at - session.at < (+settings.session || 30) * 6e4)) session.id = random();
  session.at = at;
  write(SESSION, session);
  return session.id;
};

/** Make `next` the choice and tell the collector. `isTold`: nothing new, it was so or another tab has said it. */
export const decide = (next, properties = {}, isTold = false) => {
  const was = granted();
  if (json(next) == json(choice)) return;
  choice = plain(next);
  tell('consent', next);
  if (!granted()) {
    forget();
    queue.map((event) => finish(event, is('filtered', 'consent')));
    if (was) keysOf('tw.').map(remove);
  } else if (!was) {
    recall();
    held.splice(0).map(admit);
    adopt();
  }
  // Where consent is presumed an objection must be remembered.
  isTold || write(CONSENT, choice, granted() || settings.consent == 'granted');
  if (!was && !granted()) return is('filtered', 'consent');
  const told = isTold || admit(stamp({ type: 'track', event: 'consent', properties }));
  if (!granted()) become(random());
  send();
  return told;
};
