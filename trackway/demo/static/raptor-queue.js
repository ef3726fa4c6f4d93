// The head script of Raptor's documentation: what is called before the main script has come waits in a queue, whose first item is the page view.
window.raptor || (window.raptor = {
  q: [{ event: 'trackevent', params: { p1: 'pageview' } }],
  push: function (event, params, options) { this.q.push({ event: event, params: params, options: options }); },
  customerId: '12345',
});
