export * from '@snowplow/browser-tracker';
