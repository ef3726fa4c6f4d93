export * from '@snowplow/browser-tracker';
export * as shop from '@snowplow/browser-plugin-snowplow-ecommerce';
