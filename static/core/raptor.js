/** Raptor's calls, as Ibexa's templates make them: passed on as they are, the collector knows what positions mean. */
import { record } from './events.js';

export const answerRaptor = () => {
  const raptor = (/** @type {any} */ (window).raptor ||= { q: [] });
  if (!raptor.q) return; // Raptor's own script is here
  // The first of a page's queue is the view that is counted anyway.
  const push = (properties) =>
    /page_?view/i.test(Object.values(properties.params || properties)[0]) || record({ type: 'raptor', properties });
  raptor.push = (event, params, options) => push({ event, params, options });
  raptor.trackEvent = (...params) => raptor.push('trackevent', params);
  raptor.q.forEach?.(push); // another tracker of the page has emptied it
  raptor.q = { push };
};
