/**
 * The page of the add-ons: what a shop without the tracker has (a data layer, a consent platform, a form), and beside it
 * what the tracker makes of it, as `trackway.on` tells.
 */
import { askConsent, element, nameOf, showState, tell } from './behind.js';

// --- A data layer, as shops fill it for Google Analytics -------------------------------------------------------------
window.dataLayer = window.dataLayer || [];
for (const button of document.querySelectorAll('[data-push]')) {
  button.addEventListener('click', () => {
    window.dataLayer.push({ ecommerce: null }, JSON.parse(button.dataset.push));
  });
}

// --- A consent platform that speaks TCF ------------------------------------------------------------------------------
const PURPOSES = Array.from({ length: 11 }, (_, at) => at + 1);
const listeners = [];
let [answer, state] = [/shop_choice=(granted|denied)/.exec(document.cookie)?.[1], 'tcloaded'];
if (!answer) state = 'cmpuishown';

function tcData() {
  const consents = Object.fromEntries(PURPOSES.map((purpose) => [purpose, answer === 'granted']));
  return { tcfPolicyVersion: 5, gdprApplies: true, eventStatus: state, cmpStatus: 'loaded', purpose: { consents, legitimateInterests: {} } };
}
window.__tcfapi = (command, _version, callback) => {
  if (command !== 'addEventListener') return callback(null, false);
  const listenerId = listeners.push(callback) - 1;
  callback({ ...tcData(), listenerId }, true);
};
askConsent((choice) => {
  [answer, state] = [choice, 'useractioncomplete'];
  listeners.forEach((listener, listenerId) => listener({ ...tcData(), listenerId }, true));
});
element('ask').addEventListener('click', () => element('privacy').click());

tell('on', '*', async () => {
  const { consent } = (await tell('status')) || {};
  if (!consent) return;
  const given = consent === 'granted' ? [consent] : Object.keys(consent).filter((purpose) => consent[purpose] === true);
  element('choice').textContent = given.join(', ') || 'declined';
});

element('open-debug').addEventListener('click', () => tell('debug'));

// --- A form, which goes nowhere --------------------------------------------------------------------------------------
element('note').addEventListener('submit', (event) => {
  event.preventDefault();
  event.target.reset();
  element('note-sent').textContent = 'Thank you. Nothing was sent: this is a demo.';
});

// --- What the tracker tells ------------------------------------------------------------------------------------------
const MOST = 30;
const rows = new Map();

function write(event) {
  const [row, state, details] = ['li', 'span', 'code'].map((tag) => document.createElement(tag));
  const name = document.createElement('strong');
  name.textContent = nameOf(event);
  state.textContent = 'made';
  details.textContent = JSON.stringify(event.properties || event.traits || {});
  row.append(name, ' ', state, details);
  element('told').prepend(row);
  element('told-nothing').hidden = true;
  rows.set(event.messageId, state);
  while (element('told').children.length > MOST) element('told').lastChild.remove();
}
tell('on', 'event', write);
tell('on', 'receipt', ({ event, status, reason }) => {
  const { messageId } = event; // a receipt's own id is the collector's, where that makes a purchase's
  // A choice is told by its receipt alone.
  if (!rows.has(messageId)) write(event);
  rows.get(messageId).textContent = reason ? `${status}: ${reason}` : status;
});
showState();
