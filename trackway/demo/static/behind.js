/** What all forms of the shop share: the tracker's calls, the consent banner, and the line at the foot that shows what the tracker does. */

// Until the tracker has come, calls wait where it looks for them.
window.trackway = window.trackway || function () {
  (window.trackway.q = window.trackway.q || []).push(arguments);
};
/** A call of the tracker: `tell('track', 'visit', {…})`. */
export const tell = (...call) => window.trackway(...call);
export const element = (id) => document.getElementById(id);
export const page = document.body.dataset;

/** What an event is called: `pageview`, `visit`, `identify` … */
export function nameOf({ type, event, properties }) {
  if (type === 'page') return 'pageview';
  if (type === 'raptor') return properties.params?.p1 || (Array.isArray(properties.params) ? properties.params[0] : properties.event);
  return event || type;
}

/**
 * Ask for consent where nobody has chosen yet; "Privacy choices" at the foot asks again.
 * @param {(choice: 'granted' | 'denied') => void} choose called with each choice
 */
export function askConsent(choose) {
  const [banner, privacy] = [element('consent'), element('privacy')];
  for (const button of banner.querySelectorAll('button')) {
    button.addEventListener('click', () => {
      document.cookie = `shop_choice=${button.value}; path=/; max-age=31536000; samesite=lax`;
      choose(button.value);
      banner.hidden = true;
      element('main').focus({ preventScroll: true });
    });
  }
  privacy.addEventListener('click', () => {
    banner.hidden = false;
    banner.querySelector('button').focus();
  });
  privacy.hidden = false;
  banner.hidden = 'chosen' in page;
}

// --- The line at the foot --------------------------------------------------------------------------------------------
const MOST_NAMES = 8;
const masked = (id) => `${id.slice(0, 4)}…`;
let names = []; // of the events of this view
let waited = 0; // half seconds without the tracker

/** The state of `trackway.status()` in words: `[[term, description], …]`. */
function words(now) {
  if (!now) return [['Tracker', waited < 20 ? 'on its way' : 'not loaded; a content blocker may have stopped it']];
  const { consent, held, queued, stopped, anonymousId, userId } = now;
  if (!consent) return [['Consent', 'not asked yet'], ['Sent', 'nothing'], ['Held in memory', held === 1 ? '1 event' : `${held} events`]];
  if (consent !== 'granted' && !consent.analytics) return [['Consent', 'declined'], ['Sent', 'nothing'], ['Stored', 'nothing']];
  const sent = stopped ? 'the collector cannot be reached' : queued ? `${queued} on their way` : 'delivered';
  return [
    ['Visitor', anonymousId ? masked(anonymousId) : 'without an id'],
    ['Customer', userId ? masked(userId) : 'not signed in'],
    [names.slice(-MOST_NAMES).join(', ') || 'This view', sent],
  ];
}

async function show() {
  const now = window.trackway.version ? await tell('status') : undefined;
  const parts = words(now).map(([term, description]) => {
    const part = document.createElement('div');
    for (const [tag, text] of [['dt', term], ['dd', description]]) {
      part.appendChild(document.createElement(tag)).textContent = text;
    }
    return part;
  });
  element('state').replaceChildren(...parts);
  if (now || ++waited > 20) return;
  setTimeout(show, 500);
}

/** Keep the line at the foot true. */
export function showState() {
  tell('on', 'view', () => { names = []; });
  tell('on', 'event', (event) => names.push(nameOf(event)));
  // The queue is what it will be once whoever told of this has finished.
  tell('on', '*', () => setTimeout(show));
  addEventListener('pageshow', show);
  show();
}
