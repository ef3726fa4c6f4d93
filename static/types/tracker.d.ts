/**
 * Types of Trackway's browser tracker: `window.trackway`, and the ES module's `start`.
 *
 * The properties of a website's own events are as `TrackwayEvents` says, which `trackway types` writes from the events
 * in the log; an event that is not in it takes any properties.
 */

/** `held`: waits for consent. `queued`: not answered for yet; it is kept, and sent again. */
export type Status = 'accepted' | 'duplicate' | 'filtered' | 'rejected' | 'held' | 'queued';

/** What became of a call. `path`: of the field that a refusal is about. */
export interface Receipt {
  id?: string;
  status: Status;
  reason?: string;
  path?: string;
}

/** Five levels deep and 32 KB; dates and BigInts become text, functions and elements are left out. */
export type Properties = Record<string, unknown>;

export type Purpose = 'analytics' | 'personalization' | 'marketing_activation' | 'third_party_sharing';
export type Choice = 'granted' | 'denied' | Partial<Record<Purpose, boolean>>;

/** A product. Amounts are numbers, or text with a decimal point. `category`: from the top down, as `Shoes/Running`. */
export interface Item {
  product_id: string | number;
  name?: string;
  brand?: string;
  category?: string;
  price?: number | string;
  subtotal?: number | string;
  quantity?: number;
  currency?: string;
  master_id?: string | number;
  in_stock?: boolean;
  position?: number;
  [more: string]: unknown;
}

/** One product by itself, or several. */
export type Products = Item | { items: Item[]; [more: string]: unknown };

export interface Order {
  /** A browser's purchase of one order counts once, however often its page is loaded. */
  order_id?: string | number;
  subtotal?: number | string;
  revenue?: number | string;
  total?: number | string;
  tax?: number | string;
  shipping?: number | string;
  discount?: number | string;
  coupon?: string;
  currency?: string;
}

export interface Search {
  query?: string;
  results?: number;
  list?: string;
}

/** A shop's events, whose names have a meaning. */
export interface ShopEvents {
  visit: Products;
  contentvisit: { content_id?: string | number; name?: string; category?: string; [more: string]: unknown };
  /** All that is in the basket now. */
  basket: { items: Item[]; basket_id?: string | number; [more: string]: unknown };
  buy: Products & Order;
  return: Products & Order;
  favorite: { items: Item[]; [more: string]: unknown };
  search: Search & Properties;
  searchclick: Products & Search;
  searchresult: Search & Properties;
  itemclick: Products;
}

type PropertiesOf<N extends string> = N extends keyof TrackwayEvents
  ? TrackwayEvents[N]
  : N extends keyof ShopEvents
    ? ShopEvents[N]
    : Properties;
/** `id`: the event's own; the same id counts once. */
export interface Options {
  id?: string;
}
/** What has properties that must be there has to be given them. */
type Tracked<N extends string> = {} extends PropertiesOf<N>
  ? [properties?: PropertiesOf<N>, options?: Options]
  : [properties: PropertiesOf<N>, options?: Options];

/** A message as it is about to be queued. A filter may change it in place. */
export interface Message {
  type: 'page' | 'track' | 'identify' | 'group' | 'alias' | 'raptor';
  messageId: string;
  event?: string;
  properties?: Properties;
  traits?: Properties;
  context: Record<string, any>;
  [more: string]: any;
}

/** The page of events. Addresses have only the parameters that the site allows. */
export interface View {
  url: string;
  title: string;
  referrer: string;
  view_id: string;
}

/** What listeners are told, by type. */
export interface Told {
  /** Just made. */
  event: Message;
  receipt: Receipt & { event: Message };
  /** A request goes out; `leaving`: because the page is left. */
  send: { batch: Message[]; leaving?: boolean };
  /** What was sent comes again in `wait` milliseconds at the earliest. */
  retry: { reason: string | number; wait: number };
  /** It has begun. */
  view: View;
  /** The view ends or the page is left, before the last events are sent. */
  leave: undefined;
  consent: Choice;
  debug: boolean;
  error: unknown;
}

export interface State {
  consent?: Choice;
  held: number;
  queued: number;
  /** Given up. */
  dropped: number;
  /** The collector cannot be reached: no more tries until the browser is online or the page seen again. */
  stopped: boolean;
  anonymousId: string;
  userId?: string;
  view: View;
}

/** Each answers with a promise that never rejects. Before the script has loaded calls wait in `trackway.q`. */
export interface Commands {
  /** A page view of its own, beside the automatic ones. */
  page(name?: string, properties?: Properties): Promise<Receipt>;
  page(properties: Properties): Promise<Receipt>;
  track<N extends string>(name: N, ...more: Tracked<N>): Promise<Receipt>;
  identify(user: string, traits?: Properties): Promise<Receipt>;
  identify(traits: Properties): Promise<Receipt>;
  group(id: string, traits?: Properties): Promise<Receipt>;
  alias(id: string, previous?: string): Promise<Receipt>;
  /** Sign-out: what follows is another visitor's. */
  reset(): Promise<Receipt>;
  consent(choice: Choice, properties?: Properties): Promise<Receipt>;
  /** Properties of every later event. */
  set(properties: Properties): Promise<Receipt>;
  on<T extends keyof Told>(type: T, listener: (detail: Told[T], type: T) => void): Promise<Receipt>;
  on(type: '*', listener: (detail: any, type: keyof Told) => void): Promise<Receipt>;
  /** `false` drops the message. */
  before(filter: (message: Message) => boolean | void): Promise<Receipt>;
  /** Send what waits now. */
  flush(): Promise<Receipt>;
  status(): Promise<State>;
  debug(wanted?: boolean): Promise<Receipt>;
}

type Overloaded = 'track' | 'page' | 'identify' | 'on';

/** `trackway('reset')` is `trackway.reset()`. */
export interface Trackway extends Commands {
  <N extends string>(command: 'track', name: N, ...more: Tracked<N>): Promise<Receipt>;
  (command: 'page', name?: string, properties?: Properties): Promise<Receipt>;
  (command: 'page', properties: Properties): Promise<Receipt>;
  (command: 'identify', user: string, traits?: Properties): Promise<Receipt>;
  (command: 'identify', traits: Properties): Promise<Receipt>;
  <T extends keyof Told>(command: 'on', type: T, listener: (detail: Told[T], type: T) => void): Promise<Receipt>;
  (command: 'on', type: '*', listener: (detail: any, type: keyof Told) => void): Promise<Receipt>;
  <C extends Exclude<keyof Commands, Overloaded>>(
    command: C,
    ...values: Parameters<Commands[C]>
  ): ReturnType<Commands[C]>;
  readonly version: string;
  /** As the tag, `start` or `window.trackway.config` has them. */
  readonly settings: Readonly<Record<string, any>>;
}

/** As the `data-…` attributes of the script's tag, which docs/tracker.md lists. */
export interface Settings {
  /** The source's browser key. */
  key?: string;
  /** Where events go. */
  endpoint?: string;
  consent?: 'required' | 'granted' | 'cookieless';
  spa?: 'path' | 'query' | 'hash' | 'off';
  /** Minutes of a pause that ends a session. */
  session?: number | string;
  respect?: string;
  params?: string;
  /** Percent of the visitors. */
  sample?: number | string;
  auto?: string;
  debug?: boolean | string;
  /** The global's name. */
  name?: string;
}

/** Start the tracker with these settings, or those of `window.trackway.config`. It is `window.trackway` then, too. */
export function start(settings?: Settings & { key: string }): Trackway;

declare global {
  /** The website's own events and their properties. */
  interface TrackwayEvents {}
  interface Window {
    trackway: Trackway;
  }
  var trackway: Trackway;
}
