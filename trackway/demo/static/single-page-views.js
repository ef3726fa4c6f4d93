/**
 * The views of the single-page shop: what stands on the page, and what the tracker is told of it. A view is
 * `{title, nodes, calls?}`, or `{instead}`: the address of another one.
 */

/** An element; attributes that are functions listen, those that are undefined or false are left out. */
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(name, value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== false));
  return made;
}

const money = (amount) => `€\u00a0${Number(amount).toFixed(2)}`;
const wide = (kind, ...children) => h('div', { class: `wide ${kind}` }, ...children);
const link = (path, ...children) => h('a', { href: `/spa${path}` }, ...children);
const button = (path, text) => h('a', { class: 'button', href: `/spa${path}` }, text);
const drawing = (name) => new URL(`./pictures/${name}.svg`, import.meta.url).pathname;
const picture = (product, size) => h('img', { src: drawing(product.product_id), alt: '', width: size, height: size });
const unseen = (text) => h('span', { class: 'unseen' }, text);

const find = (list, field, value) => list.find((one) => one[field] === value);
const topOf = (catalog, category) => catalog.products.filter((one) => one.category === category);

/** Products as a grid; the clicks of a list of recommendations are told by the attributes. */
function cards(products, module) {
  const card = (product) => h('li', {}, h('a',
    { href: `/spa/product/${product.product_id}`, 'data-tw': module && 'itemclick', 'data-tw-product-id': module && product.product_id },
    picture(product, 400),
    h('span', { class: 'name' }, product.name),
    h('span', { class: 'price' }, product.in_stock ? money(product.price) : 'Sold out')));
  return h('ul', { class: 'cards', 'data-tw-item': module && true, 'data-tw-module-name': module }, ...products.map(card));
}

function quantities(id, chosen) {
  const options = Array.from({ length: 9 }, (_, at) => h('option', { selected: at + 1 === chosen }, at + 1));
  return h('select', { id, name: 'quantity' }, ...options);
}

/** A form that the script sends: `send(fields)` instead of loading a page. */
function form(attributes, send, ...children) {
  const submit = (event) => {
    event.preventDefault();
    send({ ...Object.fromEntries(new FormData(event.target, event.submitter)) }, event.target);
  };
  return h('form', { novalidate: true, ...attributes, submit }, ...children);
}

const field = (name, label, value, more = {}) => h('p', { class: 'field' },
  h('label', { for: name }, label), h('input', { id: name, name, value, required: true, ...more }));

/** Write what is wrong beside each field, and lead to the first. */
function showProblems(fields, problems) {
  for (const input of fields.querySelectorAll('input')) {
    const [{ name }, text] = [input, problems[input.name]];
    fields.querySelector(`#${name}-problem`)?.remove();
    input.toggleAttribute('aria-invalid', false);
    input.removeAttribute('aria-describedby');
    if (!text) continue;
    input.setAttribute('aria-invalid', 'true');
    input.setAttribute('aria-describedby', `${name}-problem`);
    input.after(h('span', { class: 'problem', id: `${name}-problem` }, text));
  }
  fields.querySelector('[aria-invalid]')?.focus();
}

function sums({ subtotal, shipping, total }) {
  const rows = [['Goods', money(subtotal)], ['Delivery', Number(shipping) ? money(shipping) : 'free'], ['Total', money(total)]];
  return h('dl', { class: 'sums' }, ...rows.map(([name, amount]) =>
    h('div', { class: name === 'Total' ? 'total' : '' }, h('dt', {}, name), h('dd', {}, amount))));
}

const summary = (selection) => [
  h('ul', { class: 'summary' }, ...selection.items.map((item) => h('li', {},
    picture(item, 56), h('span', {}, `${item.quantity} × ${item.name}`), h('span', { class: 'price' }, money(item.subtotal))))),
  sums(selection),
];

// --- Views -----------------------------------------------------------------------------------------------------------

function home({ catalog }) {
  const chosen = ['LF-101', 'LF-202', 'LF-301', 'LF-104'].map((code) => find(catalog.products, 'product_id', code));
  const hero = h('section', { class: 'hero' }, wide('',
    h('div', {},
      h('h1', {}, 'Good things for home and the road'),
      h('p', {}, 'The whole shop in one page that is never loaded again.'),
      h('p', {}, button('/category/coffee', 'Start with coffee'))),
    h('img', { src: drawing('hero'), alt: '', width: 640, height: 480 })));
  const stories = catalog.articles.map((article) => h('li', {}, link(`/article/${article.content_id}`,
    picture({ product_id: article.product }, 120),
    h('span', {}, h('strong', {}, article.name), ' ', h('span', {}, article.intro)))));
  return {
    title: 'Good things for home and the road',
    nodes: [hero, wide('', h('h2', {}, 'This week'), cards(chosen), h('h2', {}, 'Journal'), h('ul', { class: 'stories' }, ...stories))],
  };
}

function category({ catalog }, slug) {
  const found = find(catalog.categories, 'slug', slug);
  if (!found) return missing();
  const { id, name, lead } = found;
  return { title: name, nodes: [wide('', h('h1', {}, name), h('p', { class: 'lead' }, lead), cards(topOf(catalog, id)))] };
}

/** The product as events name it. */
const itemOf = ({ product_id, name, category_path, brand, price, currency, in_stock }) =>
  ({ product_id, name, category_path, brand, price, currency, in_stock });

function product({ catalog }, code, _, { change }) {
  const found = find(catalog.products, 'product_id', code);
  if (!found) return missing();
  const buy = form({ class: 'buy' }, ({ quantity }) => change({ product: code, quantity }),
    h('label', { for: 'quantity' }, 'Quantity'), quantities('quantity', 1), h('button', { class: 'strong' }, 'Add to basket'));
  const facts = [['Material', found.material], ['Article', code], ['Delivery', 'Free from €\u00a060, else €\u00a04.90']];
  const article = h('article', { class: 'product' },
    picture(found, 560),
    h('div', {},
      h('p', { class: 'brandline' }, found.brand),
      h('h1', {}, found.name),
      h('p', { class: 'price' }, money(found.price)),
      h('p', {}, found.description),
      found.in_stock ? buy : h('p', { class: 'sold-out' }, 'Sold out. The next ones come when they are good.'),
      h('dl', { class: 'facts' }, ...facts.map(([name, text]) => h('div', {}, h('dt', {}, name), h('dd', {}, text))))));
  const others = topOf(catalog, found.category).filter((one) => one !== found);
  return {
    title: found.name,
    nodes: [wide('', article, h('h2', {}, 'Goes well with it'), cards(others, 'goes-well'))],
    calls: [['track', 'visit', { items: [itemOf(found)] }]],
  };
}

function search({ catalog }, _, parameters) {
  const query = (parameters.get('q') || '').trim();
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (one) => [one.name, one.brand, one.material, one.category_path, one.description].join(' ').toLowerCase();
  const found = words.length ? catalog.products.filter((one) => words.every((word) => text(one).includes(word))) : [];
  const hint = query ? 'Nothing by that name. Try “lamp”, “steel” or “Nordkamp”.' : 'Type a word into the search field above.';
  const heading = query ? `${found.length} ${found.length === 1 ? 'result' : 'results'} for “${query}”` : 'Search';
  return {
    title: 'Search',
    nodes: [wide('', h('h1', {}, heading), found.length ? cards(found) : h('p', { class: 'lead' }, hint))],
    calls: query ? [['track', 'search', { query, results: found.length }]] : [],
  };
}

function article({ catalog }, id) {
  const found = find(catalog.articles, 'content_id', id);
  if (!found) return missing();
  const { content_id, name, category_path, published_at, intro, body } = found;
  const others = catalog.articles.filter((one) => one !== found);
  const text = h('article', {},
    h('p', { class: 'brandline' }, 'Journal · ', h('time', { datetime: published_at }, published_at)),
    h('h1', {}, name), h('p', { class: 'lead' }, intro), ...body.map((paragraph) => h('p', {}, paragraph)));
  const beside = h('aside', { 'aria-labelledby': 'about' },
    h('h2', { id: 'about' }, 'In this story'), cards([find(catalog.products, 'product_id', found.product)], 'in-this-story'),
    h('h2', {}, 'More from the journal'),
    h('ul', { class: 'links' }, ...others.map((one) => h('li', {}, link(`/article/${one.content_id}`, one.name)))));
  return {
    title: name,
    nodes: [wide('reading', text, beside)],
    calls: [['track', 'contentvisit', { content_id, name, category_path }]],
  };
}

function basket({ basket: held }, _, __, { change }) {
  if (!held.items.length) {
    const hint = h('p', { class: 'lead' }, 'It is empty. The ', link('/product/LF-104', 'enamel mug'), ' is a good beginning.');
    return { title: 'Basket', nodes: [wide('narrow', h('h1', {}, 'Basket'), hint)] };
  }
  const line = (item) => {
    const set = (quantity) => change({ product: item.product_id, quantity, change: 'set' });
    const id = `quantity-${item.product_id}`;
    return h('li', {},
      picture(item, 96),
      h('div', {},
        link(`/product/${item.product_id}`, item.name),
        h('p', { class: 'muted' }, `${money(item.price)} each`),
        form({}, ({ quantity }) => set(quantity),
          h('label', { class: 'unseen', for: id }, `Quantity of ${item.name}`), quantities(id, item.quantity),
          h('button', {}, 'Update', unseen(` ${item.name}`))),
        h('button', { class: 'plain', type: 'button', click: () => set('0') }, 'Remove', unseen(` ${item.name}`))),
      h('p', { class: 'price' }, money(item.subtotal)));
  };
  const content = [h('ul', { class: 'lines' }, ...held.items.map(line)), sums(held), h('p', { class: 'onward' }, button('/checkout', 'Checkout'))];
  return { title: 'Basket', nodes: [wide('narrow', h('h1', {}, 'Basket'), ...content)] };
}

function login({ customer }, _, parameters, { signIn }) {
  if (customer) return { instead: '/' };
  const buying = parameters.get('then') === 'checkout';
  const send = (fields, sent) => signIn(fields, buying ? '/checkout' : '/', (problems) => showProblems(sent, problems));
  const lead = `${buying ? 'Tell us who the parcel is for.' : 'Welcome back.'} No password in the demo: be whoever you like.`;
  const fields = form({}, send,
    field('name', 'Name', 'Ada Example', { autocomplete: 'name', maxlength: 80 }),
    field('email', 'E-mail address', 'ada@example.com', { type: 'email', autocomplete: 'email', maxlength: 254 }),
    h('p', {}, h('button', { class: 'strong' }, 'Sign in')));
  return { title: 'Sign in', nodes: [wide('form', h('h1', {}, 'Sign in'), h('p', { class: 'lead' }, lead), fields)] };
}

function checkout({ basket: held, customer, address }, _, __, { order }) {
  if (!held.items.length) return { instead: '/basket' };
  if (!customer) return { instead: '/login?then=checkout' };
  const fields = form({}, (stated, sent) => order(stated, (problems) => showProblems(sent, problems)),
    h('h2', {}, 'Deliver to'),
    h('p', {}, customer.name, h('br'), h('span', { class: 'muted' }, customer.email)),
    field('street', 'Street and number', address.street, { autocomplete: 'street-address', maxlength: 120 }),
    field('postcode', 'Postcode', address.postcode, { autocomplete: 'postal-code', maxlength: 20 }),
    field('city', 'City', address.city, { autocomplete: 'address-level2', maxlength: 80 }),
    h('p', { class: 'muted' }, 'The address is not kept. Payment by invoice, which never comes.'),
    h('p', {}, h('button', { class: 'strong' }, `Buy for ${money(held.total)}`)));
  const yours = h('section', { 'aria-labelledby': 'yours' },
    h('h2', { id: 'yours' }, 'Your order'), ...summary(held), h('p', {}, link('/basket', 'Change the basket')));
  return { title: 'Checkout', nodes: [wide('checkout', h('h1', {}, 'Checkout'), fields, yours)] };
}

function thanks({ order, customer }) {
  if (!order) return { instead: '/basket' };
  const lead = h('p', { class: 'lead' }, 'Your order ', h('strong', { id: 'order' }, order.order_id),
    ' is with us. Go away and come back if you like: it counts once.');
  return {
    title: 'Thank you',
    nodes: [wide('narrow', h('h1', {}, customer ? `Thank you, ${customer.name}` : 'Thank you'), lead, ...summary(order),
      h('p', { class: 'onward' }, button('/', 'Back to the shop')))],
    calls: [['track', 'buy', order]],
  };
}

function missing() {
  const hint = h('p', { class: 'lead' }, 'There is no such page. ', link('/', 'The front of the shop'), ' is this way.');
  return { title: 'Page not found', nodes: [wide('narrow', h('h1', {}, 'Nothing on this shelf'), hint)] };
}

const VIEWS = {
  '': home, category, product, search, article, basket, login, checkout, thanks,
};

/** The view at a path of the shop, such as `/product/LF-101`. */
export function viewOf(shop, path, parameters, actions) {
  const [, name, of, ...more] = path.split('/');
  const view = more.length || !Object.hasOwn(VIEWS, name) ? missing : VIEWS[name];
  return view(shop, of, parameters, actions);
}

/** The visitor's own corner of the page's head. */
export function mine({ basket: held, customer }, { signOut }) {
  const who = customer
    ? form({}, signOut, h('span', { class: 'who', title: `Signed in as ${customer.name}` }, customer.name), h('button', { class: 'plain' }, 'Sign out'))
    : link('/login', 'Sign in');
  const pieces = `, ${held.pieces} ${held.pieces === 1 ? 'piece' : 'pieces'}`;
  const count = h('span', { class: 'count', 'aria-hidden': 'true' }, held.pieces);
  return [who, h('a', { class: 'basket', href: '/spa/basket' }, 'Basket ', count, unseen(pieces))];
}
