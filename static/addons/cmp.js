/**
 * What a consent platform says, as our consent: by the IAB's framework (TCF 2.2 and later), else by Google's Consent Mode.
 */
import { trackway, watch } from './layer.js';

const methods = trackway.settings.cmp ?? 'tcf consent_mode';
let isAwaited = methods.includes('tcf'); // the framework's interface
let rules = false; // the framework: it is there, and does apply as far as is known
/** Google's signals. @type {Record<string, boolean>} */
const said = {};
let isNews = false; // of them
let isChosen = false; // by the person, not by default

/** @type {(method: string, choice: Record<string, boolean>, tcf?: string) => void} */
const tell = (method, choice, tcf) => trackway.consent(choice, { method, tcf });

function hearGoogle() {
  // A default is nobody's choice: it waits for the one that a platform may bring while the page loads, and alters none.
  if (!isNews || !(isChosen || (said.analytics_storage && document.readyState === 'complete'))) return;
  isNews = false;
  trackway.status().then((/** @type {any} */ { consent }) => {
    if (isChosen || !consent)
      tell('consent_mode', {
        analytics: !!said.analytics_storage,
        personalization: !!said.personalization_storage,
        marketing_activation: !!said.ad_storage && said.ad_personalization !== false,
        third_party_sharing: !!said.ad_user_data,
      });
  });
}

/** @type {(data: any, isSuccess: boolean) => void} */
function hearFramework(data, isSuccess) {
  if (!isSuccess) return;
  rules = data.gdprApplies !== false;
  const has = (/** @type {string} */ purposes) => !rules || [...purposes].every((one) => data.purpose?.consents[one]);
  if (rules ? /loaded|complete/.test(data.eventStatus) : !isChosen)
    tell(
      'tcf',
      {
        analytics: has('189'),
        personalization: has('156'),
        marketing_activation: has('134'),
        third_party_sharing: has('134'),
      },
      data.tcString,
    );
}

watch('cmp', (entry) => {
  if (!entry) {
    const page = /** @type {any} */ (window);
    if (isAwaited && page.__tcfapi) {
      isAwaited = !(rules = true);
      page.__tcfapi('addEventListener', 2, hearFramework);
    }
    if (!rules) hearGoogle();
  } else if (entry[0] === 'consent' && methods.includes('consent_mode')) {
    const [, kind, signals] = entry;
    if (kind === 'update') isChosen = true;
    else if (isChosen) return;
    // Some defaults hold only in regions, and this one's is not known here: the strictest counts.
    for (const name in signals) said[name] = signals[name] === 'granted' && (isChosen || said[name] !== false);
    isNews = true;
  }
});
