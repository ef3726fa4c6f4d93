/**
 * The demo shop's own script: it tells the tracker what the server says a page means, asks for consent, and shows at the
 * page's foot what the tracker makes of it. Everything else of the shop works without it.
 */
(() => {
  'use strict';
  // Until the tracker has come, calls wait where it looks for them.
  window.trackway = window.trackway || function () {
    (window.trackway.q = window.trackway.q || []).push(arguments);
  };
  const tell = (...call) => window.trackway(...call);
  const page = document.body.dataset;
  const element = (id) => document.getElementById(id);

  /** @type {any[][]} calls of the tracker, each its command and what follows */
  const calls = JSON.parse(page.calls);
  const names = ['pageview', ...calls.map(([command, name]) => (command === 'track' ? name : command))];
  for (const call of calls) tell(...call);

  // The old visitor's reset must be told before the next page is the new one's.
  element('logout')?.addEventListener('submit', () => tell('reset'));

  // --- Consent -------------------------------------------------------------------------------------------------------
  const [banner, privacy] = [element('consent'), element('privacy')];
  function choose(choice) {
    document.cookie = `shop_choice=${choice}; path=/; max-age=31536000; samesite=lax`;
    tell('consent', choice);
    names.push('consent');
    // Who signed in before the choice has not been told.
    if (choice === 'granted' && page.identify && !names.includes('identify')) {
      tell(...JSON.parse(page.identify));
      names.push('identify');
    }
    banner.hidden = true;
    element('main').focus({ preventScroll: true });
    show();
  }
  for (const button of banner.querySelectorAll('button')) button.addEventListener('click', () => choose(button.value));
  privacy.addEventListener('click', () => {
    banner.hidden = false;
    banner.querySelector('button').focus();
  });
  privacy.hidden = false;
  banner.hidden = 'chosen' in page;

  // --- What the tracker makes of it ----------------------------------------------------------------------------------
  const masked = (id) => `${id.slice(0, 4)}…`;
  const state = element('state');
  let waited = 0; // half seconds without the tracker

  /** The state of `trackway.status()` in words: `[[term, description], …]`. */
  function words(now) {
    if (!now) return [['Tracker', waited < 20 ? 'on its way' : 'not loaded; a content blocker may have stopped it']];
    const { consent, held, queued, stopped, anonymousId, userId } = now;
    if (!consent) return [['Consent', 'not asked yet'], ['Sent', 'nothing'], ['Held in memory', held === 1 ? '1 event' : `${held} events`]];
    if (!consent.analytics) return [['Consent', 'declined'], ['Sent', 'nothing'], ['Stored', 'nothing']];
    const sent = stopped ? 'the collector cannot be reached' : queued ? `${queued} on their way` : 'delivered';
    return [
      ['Visitor', masked(anonymousId)],
      ['Customer', userId ? masked(userId) : 'not signed in'],
      [names.join(', '), sent],
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
    state.replaceChildren(...parts);
    if (!now && ++waited > 20) return;
    if (!now || now.queued) setTimeout(show, 500);
  }
  addEventListener('pageshow', show);
})();
