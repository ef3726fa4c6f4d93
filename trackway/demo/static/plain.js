/**
 * The script of the shop's plain pages: it tells the tracker what the server says a page means. Clicks on
 * recommendations and on "Save for later" are told by `data-tw` attributes; everything works without script.
 */
import { askConsent, element, page, showState, tell } from './behind.js';

/** @type {any[][]} calls of the tracker, each its command and what follows */
const calls = JSON.parse(page.calls);
const identify = JSON.parse(page.identify || '[]');
let isKnown = calls.some(([command]) => command === 'identify');

showState();
for (const call of calls) tell(...call);

// The old visitor's reset must be told before the next page is the new one's.
element('logout')?.addEventListener('submit', () => tell('reset'));

askConsent((choice) => {
  tell('consent', choice);
  // Who signed in before the choice has not been told.
  if (choice === 'granted' && !isKnown) for (const call of identify) tell(...call);
  isKnown = choice === 'granted';
});
