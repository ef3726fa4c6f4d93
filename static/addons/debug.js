/**
 * A panel over the page that says in words what became of each event. It opens with `data-debug` or `trackway('debug')`,
 * and by nothing that a link or another site can do.
 *
 * It stands in a shadow tree of its own, styled through the CSSOM and built without HTML texts, so a strict policy
 * (`default-src 'self'; require-trusted-types-for 'script'`) holds with it.
 *
 * @typedef {{time: Date, name: string, tone: string, state: string, message?: any, receipt?: any, node?: HTMLElement}} Row
 *   `tone`: good | bad | wait | info; `node`: how it is shown
 */
const trackway = /** @type {any} */ (window)[document.currentScript?.dataset.name || 'trackway'];
const ROWS = 200;

/** What statuses mean, and their tone. @type {Record<string, string[]>} */
const STATUSES = {
  accepted: ['good', 'sent, the collector stored it'],
  duplicate: ['good', 'sent, the collector stored it before: it counts once'],
  queued: ['wait', 'kept for a later try'],
  filtered: ['info', 'dropped'],
  rejected: ['bad', 'refused'],
};
/** What reasons mean; the others say it themselves. @type {Record<string, string>} */
const REASONS = {
  filtered_consent: 'the visitor has not agreed to analytics',
  filtered_before: 'a filter of this site said no',
  filtered_dnt: 'the browser signals Do Not Track',
  filtered_bot: 'the browser looks like a bot',
  rejected_too_large: 'it has more than 32 KB',
  rejected_too_many: 'too much was waiting',
  queued_unreachable: 'the collector did not answer',
};

const STYLE = `
:host{all:initial!important;position:fixed!important;z-index:2147483647!important;right:8px!important;bottom:8px!important;
width:440px!important;max-width:calc(100vw - 16px)!important}
*{box-sizing:border-box;font:13px/1.45 system-ui,sans-serif;color:inherit;margin:0;overflow-wrap:anywhere}
section{position:relative;color:#e6e9eb;background:#14181b;border:1px solid #59626b;border-radius:8px;overflow:hidden}
summary,button{cursor:pointer}
:focus-visible{outline:2px solid #7cc0ee;outline-offset:-2px}
.head{min-height:44px;padding:12px 64px 12px 12px;background:#23292e}
b{font-weight:700;margin-right:6px}
div{display:flex;flex-direction:column;max-height:44vh}
dl{display:grid;grid-template-columns:auto 1fr;gap:2px 12px;padding:8px 12px}
dt,time,.info{color:#a3adb6;margin-right:6px}
ol{padding:0;overflow:auto;border-top:1px solid #59626b}
li{display:block;border-bottom:1px solid #343c43;padding:6px 12px}
.good{color:#7fd197}
.bad{color:#ff9d97}
.wait{color:#f0c069}
pre{font:12px/1.4 monospace;white-space:pre-wrap;padding-top:6px}
textarea{flex:none;height:96px;background:#23292e}
button{flex:none;height:44px;background:#23292e;border:0;border-top:1px solid #59626b}
section>button{position:absolute;top:0;right:0;width:64px;border:0}`;

/** @type {Row[]} newest first */
const rows = [];
/** @type {HTMLElement|undefined} */
let host;
let [refresh, drawing] = [async () => {}, 0];
/** @type {any} what `status` said last */
let status = {};

/** An element with these properties and children. @param {string} name @param {object} properties @param {(Node|string)[]} children */
const make = (name, properties, ...children) => {
  const element = /** @type {any} */ (Object.assign(document.createElement(name), properties));
  element.append(...children);
  return element;
};
const json = (/** @type {any} */ value) => JSON.stringify(value, null, 1);
const number = (/** @type {number} */ n, /** @type {string} */ noun) => `${n} ${noun}${n === 1 ? '' : 's'}`;
const wordsOf = (/** @type {any} */ { status, reason = '', path }) => {
  const [tone, words] = STATUSES[status];
  const why = REASONS[`${status}_${reason}`] || (reason > 0 ? `the collector answered ${reason}` : reason.replace(/_/g, ' '));
  return { tone, state: [words, path, why].filter(Boolean).join(': ') };
};
const consentWords = (/** @type {any} */ choice) =>
  !choice
    ? 'nobody has been asked yet'
    : choice.at
      ? choice
      : Object.keys(choice).map((name) => `${name.replace(/_/g, ' ')} ${choice[name] ? 'yes' : 'no'}`).join(', ');

/** Nothing more is known of an event that waits. @param {Row} row */
const stateOf = ({ state, message }) =>
  state || (message && (status.consent ? 'waiting for its batch' : 'held: nobody has been asked yet'));
/** The row as it is now, in the element it has already. @param {Row} row @returns {HTMLElement} */
const draw = (row) => {
  const { time, name, tone, message, receipt } = row;
  const words = [make('time', {}, time.toTimeString().slice(0, 8)), make('b', {}, name), make('span', { className: tone }, stateOf(row))];
  const node = (row.node ||= make('li', {}, message ? make('details', {}, make('summary', {}), make('pre', {})) : make('p', {})));
  const [line, detail] = /** @type {any} */ (node.querySelectorAll('summary, p, pre'));
  line.replaceChildren(...words);
  if (message) detail.textContent = json({ message, receipt });
  return node;
};

/** @param {Partial<Row> & {name: string}} row @returns {Row} */
const add = (row) => {
  rows.unshift({ time: new Date(), tone: 'info', state: '', ...row });
  rows.splice(ROWS).map(({ node }) => node?.remove());
  return rows[0];
};
const nameOf = (/** @type {any} */ { event, type }) => event || type;
/** What is told, by its type. @type {Record<string, (detail: any) => void>} */
const told = {
  // Filters are asked in the same moment: what none of them stops is told as an event next.
  before: (message) => add({ name: nameOf(message), message, ...wordsOf({ status: 'filtered', reason: 'before' }) }),
  event: (message) => Object.assign(rows.find((row) => row.message === message) || {}, { tone: 'wait', state: '' }),
  receipt({ event, ...receipt }) {
    const row = rows.find(({ message }) => message === event) || add({ name: nameOf(event), message: event });
    // What is queued has been told why, with the time of the next try.
    Object.assign(row, { receipt }, receipt.status !== 'queued' && wordsOf(receipt));
  },
  send({ batch, leaving }) {
    for (const row of rows)
      if (batch.includes(row.message))
        row.state = leaving ? 'handed over as the page was left: the next learns of it' : 'on its way to the collector';
    add({ name: 'request', state: number(batch.length, 'event') });
  },
  async retry({ reason, wait }) {
    const { stopped } = await trackway.status();
    const { tone, state: words } = wordsOf({ status: 'queued', reason });
    const next = stopped ? 'when the browser is online or a page is seen' : `in ${Math.ceil(wait / 1000)} s`;
    const state = `${words}; next try ${next}`;
    for (const row of rows) if (row.tone === tone) row.state = state;
    add({ name: 'failure', tone: 'bad', state });
  },
  consent: (choice) => add({ name: 'consent', state: consentWords(choice) }),
  view: ({ url }) => add({ name: 'view', state: url }),
  error: (error) => add({ name: 'error', tone: 'bad', state: `${error}` }),
  debug: (wanted) => (wanted ? open() : close()),
};

const close = () => {
  host?.remove();
  host = undefined;
};
const open = () => {
  if (host) return;
  if (!document.body) return addEventListener('DOMContentLoaded', open);
  const list = make('ol', { tabIndex: 0, ariaLabel: 'Events, newest first' });
  const facts = make('dl', {});
  const title = make('span', {});
  const text = make('textarea', { readOnly: true, ariaLabel: 'JSON' });
  refresh = async () => {
    status = await trackway.status();
    const { globalPrivacyControl, doNotTrack } = /** @type {any} */ (navigator);
    const { consent, held, queued, dropped, anonymousId, userId } = status;
    drawing = 0;
    title.textContent = `${held + queued} waiting, ${number(rows.filter(({ tone }) => tone === 'bad').length, 'problem')}`;
    const { settings } = trackway;
    const objects = (globalPrivacyControl && /gpc/.test(settings.respect)) || (doNotTrack == 1 && /dnt/.test(settings.respect));
    const shown = {
      Misspelt: ['consent', 'spa', 'session', 'sample', 'respect'].map((name) => `${name} ${settings[name] ?? ''}`)
        .filter((said) => !/ ((required|granted|cookieless|path|query|hash|off|gpc|dnt|[\d.]+) *)*$/.test(said)).join(', '),
      Consent: objects ? 'the browser objects: everything waits' : consentWords(consent),
      Waiting: `${held} for consent, ${queued} for the collector`,
      Lost: dropped && `${dropped}: too many at once, too large or too old`,
      Visitor: anonymousId ? anonymousId + " (the collector's cookie wins)" : 'no id',
      User: userId,
    };
    facts.replaceChildren(...Object.entries(shown).flatMap(([name, value]) => (value ? [make('dt', {}, name), make('dd', {}, value)] : [])));
    // What stands there already stays, with its focus and its place.
    list.prepend(...rows.map(draw).filter((node) => node.parentNode !== list));
  };
  const copy = async (/** @type {any} */ { target }) => {
    text.value = json({ status, events: rows.map((row) => ({ ...row, state: stateOf(row), node: undefined })) });
    try {
      await navigator.clipboard.writeText(text.value);
      target.textContent = 'Copied';
    } catch {
      // Plain http has no clipboard.
      target.before(text);
      text.select();
      target.textContent = 'Press Ctrl+C';
    }
  };
  const body = make('div', {}, facts, list, make('button', { onclick: copy }, 'Copy as JSON'));
  const panel = make('section', { ariaLabel: 'Trackway', onkeydown: (/** @type {KeyboardEvent} */ { key }) => void (key === 'Escape' && close()) },
    make('details', { open: innerWidth > 480 }, make('summary', { className: 'head' }, make('b', {}, 'Trackway'), title), body),
    make('button', { onclick: close }, 'Close'));
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  const element = make('trackway-debug', {});
  element.dataset.twIgnore = '';
  const root = element.attachShadow({ mode: 'open' });
  root.adoptedStyleSheets = [sheet];
  root.append(panel);
  document.documentElement.append(element);
  host = element;
  refresh();
};

// The tag may stand twice on a page.
if (trackway && !trackway.overlay) {
  trackway.overlay = trackway.on('*', (/** @type {any} */ detail, /** @type {string} */ type) => {
    told[type]?.(detail);
    if (host) drawing ||= requestAnimationFrame(refresh);
  });
  if (trackway.settings.debug != null) open();
}
export {};
