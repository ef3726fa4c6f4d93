/** What elements say of themselves, as in `data-tw="basket" data-tw-price="9.90"`, and links that lead away. */
import { clean } from './views.js';
import { listen, settings } from './page.js';
import { track } from './events.js';

export const watchElements = () => {
  const happened = (event) => {
    // `auxclick` is of the other buttons.
    const type = event.type.replace('aux', '');
    const path = event.composedPath().filter(({ dataset }) => dataset); // outwards, out of shadow trees too
    if (event.button > 1 || path.find(({ dataset }) => 'twIgnore' in dataset)) return;
    const at = path.findIndex(({ dataset }) => dataset.tw && (dataset.twOn || 'click') == type);
    const link = path.find(({ host }) => host && host != location.host);
    const found = {};
    // Its own properties over those of the items it stands in; the innermost counts.
    path.slice(at).map(({ dataset, attributes }, depth) => {
      for (const { name, value } of !depth || 'twItem' in dataset ? attributes : [])
        if (/^data-tw-(?!on$|item$)/.test(name)) found[name.slice(8).replace(/-/g, '_')] ??= value;
    });
    if (at >= 0) track(path[at].dataset.tw, found);
    else if (link && type == 'click' && /out/.test(settings.auto)) track('outbound', { url: clean(link.href) });
  };
  listen({ click: happened, auxclick: happened, submit: happened });
};
