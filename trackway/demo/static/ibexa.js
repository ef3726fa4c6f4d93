/**
 * The calls that Ibexa's templates write into a page: of Raptor's object, which the tracker takes over. Consent is told
 * by the event that Ibexa's script listens for.
 */
import { askConsent, page, showState, tell } from './behind.js';

const { raptor } = window;
/** @type {[string, ...any][]} calls of `raptor`, each its method and what follows; without the tracker there are fewer */
const make = ([method, ...values]) => raptor[method]?.(...values);

/** @type {any[][]} */
const calls = JSON.parse(page.calls);
const identify = JSON.parse(page.identify || '[]');
let isKnown = calls.some(([, name]) => name === 'setRuid');

showState();
calls.forEach(make);

for (const link of document.querySelectorAll('[data-item]')) {
  const { item, module } = link.dataset;
  link.addEventListener('click', () => raptor.push('trackEvent', { p1: 'itemclick', p2: item }, { moduleName: module }));
}

askConsent((choice) => {
  // Ibexa has no word for no: tracking is not enabled. Who takes a yes back says so to the tracker.
  if (choice === 'granted') document.dispatchEvent(new CustomEvent('enableTracking'));
  else tell('consent', choice);
  if (choice === 'granted' && !isKnown) identify.forEach(make);
  isKnown = choice === 'granted';
});
