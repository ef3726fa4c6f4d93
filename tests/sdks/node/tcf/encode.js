// Reads lines of JSON {consents, interests, vendors, publisher} and writes the consent string of each.
const { readFileSync } = require('node:fs');
const { GVL, Segment, TCModel, TCString } = require('@iabtcf/core');

const PURPOSES = Array.from({ length: 11 }, (_, at) => at + 1);
const INTERESTS = [2, 7, 8, 9, 10, 11];

// A vendor list of the framework's form, whose vendors ask for everything.
function listOf(ids) {
  const vendor = (id) => ({
    id, name: `Vendor ${id}`, purposes: PURPOSES, legIntPurposes: INTERESTS, flexiblePurposes: INTERESTS,
    specialPurposes: [], features: [], specialFeatures: [],
  });
  return new GVL({
    gvlSpecificationVersion: 3, vendorListVersion: 48, tcfPolicyVersion: 5, lastUpdated: '2026-06-01T00:00:00Z',
    purposes: Object.fromEntries(PURPOSES.map((id) => [id, { id, name: `Purpose ${id}` }])),
    specialPurposes: {}, features: {}, specialFeatures: {}, stacks: {}, dataCategories: {},
    vendors: Object.fromEntries(ids.map((id) => [id, vendor(id)])),
  });
}

for (const line of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const { consents, interests, vendors, publisher } = JSON.parse(line);
  const model = new TCModel(listOf(vendors));
  model.cmpId = 31;
  model.cmpVersion = 1;
  model.publisherCountryCode = 'DE';
  model.isServiceSpecific = publisher;
  model.purposeConsents.set(consents);
  model.purposeLegitimateInterests.set(interests);
  model.vendorConsents.set(vendors);
  model.vendorLegitimateInterests.set(vendors);
  const segments = publisher ? [Segment.CORE, Segment.PUBLISHER_TC] : [Segment.CORE, Segment.VENDORS_DISCLOSED];
  console.log(TCString.encode(model, { segments }));
}
