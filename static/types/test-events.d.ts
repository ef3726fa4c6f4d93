// Made by `trackway types` from the events in the log. `trackway('track', …)` takes these events with these properties.
interface TrackwayEvents {
  Counts: Record<string, unknown>;
  Deep: {
    a: {
      b: {
        c: {
          d: {
            e: unknown;
          };
        };
      };
    };
  };
  Read: {
    author: {
      age: number | string;
      name: string;
    };
    n: number;
    share?: boolean;
    tags?: string[];
    title: string;
  };
  "Signed up": Record<string, never>;
  "Video Played": {
    mixed: (number | string)[];
    none: unknown[];
    ranges: (number[])[];
    seconds: number;
  };
  Votes: {
    total: number;
    [name: string]: unknown;
  };
}
