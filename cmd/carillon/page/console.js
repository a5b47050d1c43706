import { kept, make, on, say, settings } from './dom.js';

// How the nodes fare, and who is online: told once a second in the namespace
// /console.

const history = 60; // seconds in a sparkline
const perPage = 25; // users

const at = Object.fromEntries([...document.querySelectorAll('[id]')].map((e) => [e.id, e]));
const totals = Object.fromEntries([...document.querySelectorAll('[data-total]')].map((e) => [e.dataset.total, e]));

let socket = null;
let instance = ''; // the node that tells

function live(state, text) {
  at.live.dataset.state = state;
  say(at.live, text);
  at.nodes.classList.toggle('stale', state !== 'on');
  at.online.classList.toggle('stale', state !== 'on');
}

function watch(auth) {
  if (typeof io === 'undefined') return live('bad', 'The Socket.IO client did not load.');
  socket?.disconnect();
  // WebSocket first: a refusal during an upgrade would have the browser complain.
  const how = { transports: ['websocket', 'polling'], tryAllTransports: true };
  const ours = io('/console', { forceNew: true, path: settings.path, auth, ...how });
  socket = ours;
  const hear = (emitter, event, f) => emitter.on(event, (...args) => ours === socket && f(...args));
  live('wait', 'Connecting');
  hear(ours, 'connect', () => (at.key.hidden = true));
  hear(ours, 'nodes', show);
  hear(ours, 'connect_error', (err) => {
    if (ours.active) live('wait', `Cannot reach the server (${err.message}); trying again`);
    else refused(err.message);
  });
  hear(ours, 'auth:expired', ({ message }) => refused(message));
  hear(ours, 'disconnect', (reason) => {
    if (ours.active) live('wait', `Connection lost (${reason}); reconnecting`);
    else refused(`ended by the server (${reason})`);
  });
  hear(ours.io, 'reconnect_attempt', (n) => live('wait', `Reconnecting, attempt ${n}`));
}

function refused(why) {
  socket?.disconnect();
  socket = null;
  live('bad', `Not watching: ${why}`);
  at.key.hidden = !settings.token;
}

// --- nodes

const rows = new Map(); // by the id of the node
const trouble = new Set(['down', 'silent', 'cut off', 'degraded']);

function show(view) {
  const first = instance === '';
  instance = view.instance;
  live('on', `Live from ${instance}`);
  const news = [];
  const seen = new Set();
  view.nodes.forEach((node, i) => {
    seen.add(node.id);
    let row = rows.get(node.id);
    if (!row) rows.set(node.id, (row = makeRow(node)));
    if (row.state !== node.state) {
      // Not what comes to be known of a node, but what happens to it.
      if (!first && row.state !== 'unknown' && node.state !== 'unknown') news.push(`${node.name}: ${node.state}`);
      row.state = node.state;
    }
    fill(row, node);
    const place = at.table.tBodies[0].children[i];
    if (place !== row.element) at.table.tBodies[0].insertBefore(row.element, place ?? null);
  });
  for (const [id, row] of rows) {
    if (seen.has(id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  if (news.length) say(at.news, news.join(', '));
  at.more.hidden = !view.more;
  say(at.more, `and ${view.more} more`);
  sum(view);
  told(view.presence);
}

// The roles are named because the style takes them away on narrow screens.
function makeRow(node) {
  const element = make('tr');
  const cell = (tag, role, className) => {
    const e = element.appendChild(make(tag, className));
    e.setAttribute('role', role);
    return e;
  };
  element.setAttribute('role', 'row');
  const cells = {};
  const name = cell('th', 'rowheader');
  name.scope = 'row';
  cells.name = name.appendChild(make('span', 'name', node.name));
  cells.about = name.appendChild(make('small'));
  const state = cell('td', 'cell');
  cells.state = state.appendChild(make('span', 'state'));
  cells.broker = state.appendChild(make('small'));
  for (const [key, label] of [['connections', 'Connections'], ['sockets', 'Sockets'], ['rooms', 'Rooms'], ['users', 'Users'],
    ['messages', 'Messages, /s'], ['events', 'Events, /s'], ['lag', 'Lag']]) {
    const number = cell('td', 'cell', 'n');
    number.dataset.label = label;
    cells[key] = number.appendChild(make('span', 'value'));
    if (key === 'connections') cells.transports = number.appendChild(make('small'));
    if (['messages', 'events', 'lag'].includes(key)) cells[`${key}Line`] = number.appendChild(spark());
  }
  return { element, cells, lines: { messages: [], events: [], lag: [] } };
}

function fill({ element, cells, lines }, { name, state, stats, lag, ...node }) {
  element.classList.toggle('gone', state === 'down' || state === 'left');
  say(cells.about, [name === instance && 'serves this page', stats && `up ${span(stats.uptime)}`, stats?.version].filter(Boolean).join(' · '));
  cells.about.title = stats?.version ?? '';
  say(cells.state, state);
  cells.state.dataset.state = state === 'up' ? 'on' : trouble.has(state) ? 'bad' : state === 'draining' ? 'wait' : 'off';
  const error = stats?.error && `${stats.error} (${span(stats.errorAge)} ago)`;
  say(cells.broker, state === 'down' || state === 'left' ? `for ${span(node.for ?? 0)}` : stats ? [`broker ${stats.broker}`, error].filter(Boolean).join('; ') : '');
  say(cells.connections, stats ? count(stats.websocket + stats.polling) : '–');
  say(cells.transports, stats?.polling ? `${count(stats.polling)} by polling` : '');
  for (const key of ['sockets', 'rooms', 'users']) say(cells[key], stats ? count(stats[key]) : '–');
  say(cells.messages, stats ? `${rate(stats.in)} / ${rate(stats.out)}` : '–');
  say(cells.events, stats ? `${rate(stats.eventsIn)} / ${rate(stats.eventsOut)}` : '–');
  say(cells.lag, lag ? `${ms(lag.p50)} / ${ms(lag.p99)} ms` : '–');
  draw(cells.messagesLine, lines.messages, stats ? stats.in + stats.out : null);
  draw(cells.eventsLine, lines.events, stats ? stats.eventsIn + stats.eventsOut : null);
  draw(cells.lagLine, lines.lag, lag ? lag.p99 : null);
}

function sum({ nodes, presence }) {
  const of = (f) => nodes.reduce((n, { stats }) => n + (stats ? f(stats) : 0), 0);
  const lags = nodes.flatMap(({ lag }) => lag?.p99 ?? []);
  say(totals.nodes, `${nodes.filter(({ state }) => state === 'up').length} of ${nodes.length}`);
  say(totals.connections, count(of((s) => s.websocket + s.polling)));
  say(totals.users, off ? '–' : count(presence.users));
  say(totals.messages, rate(of((s) => s.out))); // what one sends, others get
  say(totals.events, rate(of((s) => s.eventsIn + s.eventsOut)));
  say(totals.lag, lags.length ? `${ms(Math.max(...lags))} ms` : '–');
}

// --- sparklines: the last minute, from 0 to the greatest value in it

function spark() {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', 'spark');
  svg.setAttribute('viewBox', `0 0 ${history - 1} 16`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(document.createElementNS(svg.namespaceURI, 'path'));
  return svg;
}

function draw(svg, line, value) {
  line.push(value);
  if (line.length > history) line.shift();
  const top = Math.max(1, ...line);
  let path = '';
  line.forEach((v, i) => {
    if (v === null) return;
    const pen = (line[i - 1] ?? null) === null ? 'M' : 'L';
    path += `${pen}${history - line.length + i},${(15 - (v / top) * 14).toFixed(1)}`;
  });
  svg.firstChild.setAttribute('d', path);
}

// --- numbers

const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });

const count = (n) => (n < 100_000 ? whole : short).format(n);
const rate = (n) => (n === 0 ? '0' : (n < 100 ? tenth : n < 100_000 ? whole : short).format(n));
const ms = (n) => (n < 0.1 ? '<0.1' : (n < 10 ? tenth : whole).format(n));

function span(s) {
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${s % 60}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h ${Math.floor((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86_400)}d ${Math.floor((s % 86_400) / 3600)}h`;
}

// --- who is online

let known = ''; // what is shown, or asked for, as JSON
let after = ''; // the page that is shown
let following = '';
let asking = false;
let off = false; // presence is not kept

function told(presence) {
  const now = JSON.stringify([presence, after]);
  if (now !== known && !asking) list(now);
}

async function list(now) {
  const ours = socket;
  asking = true;
  try {
    const answer = await ours.timeout(5000).emitWithAck('presence:list', { after, limit: perPage });
    if (ours !== socket) return;
    known = now;
    off = answer.error?.code === 'off';
    if (answer.ok) showUsers(answer);
    else hideUsers(answer.error.code === 'not_in_room' ? 'Presence is told in rooms only (mode rooms).' : `${answer.error.message}.`);
  } catch {
    // The next second tries again.
  } finally {
    asking = false;
  }
}

function hideUsers(why) {
  say(at.presence, why);
  at.users.hidden = at.pages.hidden = true;
}

function showUsers({ users, total, mode, state, next }) {
  say(at.presence, `${plural(total.users, 'user')} on ${plural(total.devices ?? 0, 'device')}; mode ${mode}; ${state}`);
  following = next ?? '';
  at.users.hidden = users.length === 0;
  at.users.tBodies[0].replaceChildren(
    ...users.map((u) => {
      const row = make('tr');
      const name = make('th', '', u.user);
      name.scope = 'row';
      row.append(name, make('td', '', u.status ?? ''), make('td', 'n', count(u.devices)), make('td', '', u.instances.join(', ')));
      return row;
    }),
  );
  at.pages.hidden = after === '' && following === '';
  const focused = document.activeElement;
  at.first.disabled = after === '';
  at.next.disabled = following === '';
  if (focused?.disabled) (focused === at.next ? at.first : at.next).focus();
}

const plural = (n, what) => `${count(n)} ${what}${n === 1 ? '' : 's'}`;

function turnTo(page) {
  after = page;
  known = '';
  if (socket?.connected && !asking) list('');
}
at.first.onclick = () => turnTo('');
at.next.onclick = () => turnTo(following);
setInterval(() => (known = ''), 5000); // device counts change without a number

// --- who watches

on(at.key, () => {
  const token = at.token.value.trim();
  kept('token', token);
  watch({ token });
});
if (!settings.token) {
  watch({});
} else {
  const token = kept('token');
  at.token.value = token ?? '';
  if (token) watch({ token });
  else refused('a token is needed');
}
