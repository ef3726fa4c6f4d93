/**
 * The shop as a single-page application: a router on the History API, without any library. The tracker's line stands in
 * the page once and sees by itself that the address has changed; what happened in the shop is told here.
 */
import { askConsent, element, showState, tell } from './behind.js';
import { mine, viewOf } from './single-page-views.js';

const BASE = '/spa';
const DATA = `${BASE}/data`;

/** What the views are made of; the basket, the customer and the latest order are the server's to say. */
const shop = { catalog: undefined, basket: undefined, customer: null, order: null, address: {} };

/** The answer to a GET, or to a POST of `fields`: `{ok, …}`. Throws where there is none. */
async function ask(path, fields) {
  const options = fields && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(fields) };
  const response = await fetch(DATA + path, options);
  return { ok: response.ok, ...(await response.json()) };
}

let shown = ''; // the address whose view stands on the page
let isKnown = false; // whether the tracker has been told who the customer is

// --- The router ------------------------------------------------------------------------------------------------------

/** Show what the address says, and tell what that view means. */
function show() {
  const view = viewOf(shop, location.pathname.slice(BASE.length) || '/', new URLSearchParams(location.search), actions);
  if (view.instead) {
    history.replaceState(null, '', BASE + view.instead);
    return show();
  }
  shown = location.pathname + location.search;
  document.title = `${view.title} · Larkfield`;
  element('main').replaceChildren(...view.nodes);
  element('mine').replaceChildren(...mine(shop, actions));
  // The view is a new page to the tracker as soon as something is told on it.
  for (const call of view.calls || []) tell(...call);
}

function go(path) {
  history.pushState(null, '', BASE + path);
  show();
  scrollTo(0, 0);
  (element('main').querySelector('[aria-invalid]') || element('main')).focus({ preventScroll: true });
}

/** Back and forward; a leap within the page is none. */
function come() {
  if (shown !== location.pathname + location.search) show();
}

/** A click that would load a page of the shop, and nothing else, is the router's. */
function follow(event) {
  const link = event.target.closest('a[href]');
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (link.origin !== location.origin || !link.pathname.startsWith(`${BASE}/`)) return;
  event.preventDefault();
  go(link.pathname.slice(BASE.length) + link.search);
}

// --- What one can do -------------------------------------------------------------------------------------------------

/** Do something that needs the server, and say so where it does not answer. */
const trying = (action) => async (...values) => {
  try {
    await action(...values);
  } catch {
    const alert = document.createElement('p');
    alert.className = 'wide problem';
    alert.setAttribute('role', 'alert');
    alert.textContent = 'The shop does not answer. Please try again.';
    element('main').prepend(alert);
  }
};

const actions = {
  /** Another quantity of a product: added, or set. */
  change: trying(async (fields) => {
    const answer = await ask('/basket', fields);
    if (!answer.ok) return show();
    shop.basket = answer.basket;
    const { basket_id, currency, items } = answer.basket;
    if (answer.changed) tell('track', 'basket', { basket_id, currency, items });
    if (location.pathname !== `${BASE}/basket`) return go('/basket');
    show();
    element('main').focus({ preventScroll: true });
  }),
  /** Sign in; `then` is where to go. Problems with the fields are the form's to show. */
  signIn: trying(async (fields, then, showProblems) => {
    const answer = await ask('/login', fields);
    if (!answer.ok) return showProblems(answer.problems || {});
    shop.customer = answer.customer;
    identify();
    go(then);
  }),
  signOut: trying(async () => {
    await ask('/logout', {});
    tell('reset');
    isKnown = false;
    Object.assign(shop, await ask('/visitor'));
    go('/');
  }),
  order: trying(async (fields, showProblems) => {
    const answer = await ask('/order', fields);
    if (answer.problems) return showProblems(answer.problems);
    Object.assign(shop, await ask('/visitor'));
    go(answer.ok ? '/thanks' : '/checkout');
  }),
};

function identify() {
  const { id, name, email } = shop.customer;
  tell('identify', id, { email, name });
  isKnown = true;
}

function choose(choice) {
  tell('consent', choice);
  if (choice === 'denied') isKnown = false;
  // Who signed in on an earlier page has not been told on this one.
  else if (shop.customer && !isKnown) identify();
}

const start = trying(async () => {
  const [catalog, visitor] = await Promise.all([ask('/catalog'), ask('/visitor')]);
  Object.assign(shop, visitor, { catalog });
  show();
  addEventListener('popstate', come);
  document.addEventListener('click', follow);
  document.querySelector('form.find').addEventListener('submit', (event) => {
    event.preventDefault();
    go(`/search?${new URLSearchParams({ q: event.target.q.value })}`);
  });
});

showState();
askConsent(choose);
start();
