/**
 * What can be told of a page without anybody's work: `download`, `form`, `404` and `search`, each a word of `data-auto`
 * and the name of an event.
 *
 * Of forms only names leave the page, never what was entered; of links only the address without its parameters.
 */
const trackway = /** @type {any} */ (window)[document.currentScript?.dataset.name || 'trackway'];

// The tag may stand twice on a page.
if (trackway && !trackway.auto) {
  /**
   * An event, if its word is wanted. All are, if none is named: its letters tell one from the core's words.
   * @param {string} word @param {object} [properties]
   */
  const tell = (word, properties) =>
    trackway.settings.auto.match(word + '|^[^fl4h]*$') && trackway.track(word, properties);

  for (const type of ['auxclick', 'click', 'submit'])
    addEventListener(type, (/** @type {any} */ event) => {
      // Whatever the page is made of, nothing is thrown into it.
      try {
        const path = event.composedPath();
        const isIgnored = (/** @type {any} */ element) => element.closest?.('[data-tw-ignore]');
        const bare = (/** @type {string|undefined} */ url) => url?.split(/[?#]/)[0];
        if (!path.some(isIgnored))
          if (type > 's') {
            // A field may be called `id` or `action`, so the form's own properties cannot be trusted.
            const own = (/** @type {string} */ name) => bare(path[0].getAttribute(name));
            const names = new Set();
            // Buttons are no fields, and hidden fields' names may be tokens.
            for (const field of path[0])
              field.name && !/^(hid|sub|but)|pass/i.test(field.type + field.name) && !isIgnored(field) && names.add(field.name);
            tell('form', { id: own('id'), name: own('name'), action: own('action'), fields: [...names] });
          } else if (event.button < 2) {
            const link = path.find((/** @type {any} */ one) => one.hostname);
            if (link.hasAttribute('download') || /\.(pdf|zip|rar|docx?|xlsx?|pptx?|csv|txt|exe|dmg|mp[34])$/i.test(link.pathname))
              tell('download', { url: bare(link.href) });
          }
      } catch {}
    }, true);

  let views = 0;
  // The next page of results is no new search.
  let before = (trackway.auto = trackway.on('view', () => {
    const meta = 'meta[name=status]';
    // The tag and the navigation, which is the first entry, speak of the page that was loaded.
    if (
      (/** @type {any} */ (document.querySelector(meta))?.content ??
        (views++ || (trackway.settings.status ?? /** @type {any} */ (performance.getEntries()[0]).responseStatus))) == 404
    )
      tell('404');
    const asked = new URLSearchParams(location.search);
    const query = asked.get(
      (trackway.settings.search ?? 'q s query search keyword').split(' ').find((/** @type {string} */ name) => asked.get(name)),
    );
    // Who searches for an e-mail address has entered personal data.
    if (query && query != before && !/@/.test(query)) tell('search', { query });
    before = query;
  }));
}
export {};
