import { append, kept, make, on, settings } from './dom.js';

// Two independent Socket.IO clients, one per pane. ?left= and ?right= name
// them; ?server= sends the right one to another instance.

const shown = { people: 100, lines: 200 }; // at most

const query = new URLSearchParams(location.search);
addPane('First client', query.get('left') ?? 'alice', '');
addPane('Second client', query.get('right') ?? 'bob', query.get('server') ?? '');

function addPane(title, name, server) {
  const pane = document.querySelector('template').content.cloneNode(true).firstElementChild;
  const at = {};
  for (const element of pane.querySelectorAll('[data-is]')) at[element.dataset.is] = element;
  pane.setAttribute('aria-label', title);
  at.title.textContent = title;
  if (settings.token) {
    at.who.textContent = 'Token';
    at.name.type = 'password';
    at.name.placeholder = '';
    at.name.removeAttribute('maxlength');
    name = kept(title) ?? kept('token') ?? '';
  }
  at.name.value = name;
  at.server.value = server;
  at.direct.setAttribute('aria-label', `Messages of the ${title.toLowerCase()}`);
  at.room.setAttribute('aria-label', `Room of the ${title.toLowerCase()}`);

  let socket = null; // from Connect to Disconnect
  let me = ''; // who the server says we are
  let room = ''; // the one we are in, and return to after a reconnect
  let people = ''; // what is shown, as JSON

  function status(state, text) {
    at.status.dataset.state = state;
    at.status.textContent = text;
    const up = state === 'on';
    for (const form of [at.write, at.enter, at.speak]) form.querySelector('button').disabled = !up;
    at.speak.querySelector('button').disabled = !up || !room;
    at.name.disabled = at.server.disabled = socket !== null;
    at.toggle.textContent = socket ? 'Disconnect' : 'Connect';
  }

  function connect() {
    if (typeof io === 'undefined') return status('bad', 'The Socket.IO client did not load.');
    const told = at.name.value.trim();
    if (settings.token) kept(title, told);
    const auth = !told ? {} : settings.token ? { token: told } : { user: told };
    const ours = io(at.server.value.trim() || location.origin, { forceNew: true, path: settings.path, auth });
    socket = ours;
    let instance = '';
    const connected = () => {
      const where = instance && ` to ${instance}${settings.token ? ` as ${me}` : ''}`;
      if (ours.connected) status('on', `Connected${where} over ${ours.io.engine.transport.name}`);
    };
    // What an earlier connection of this pane still has to say is not heard.
    const hear = (emitter, event, f) => emitter.on(event, (...args) => ours === socket && f(...args));
    hear(ours, 'connect', () => {
      ours.io.engine.once('upgrade', connected);
      connected();
      refresh();
      if (room) enter(room);
    });
    hear(ours, 'session', (session) => {
      instance = session.instance;
      me = session.user;
      if (!settings.token) at.name.placeholder = me;
      connected();
    });
    hear(ours, 'message', (m) => line(at.direct, m.from, m.data, m.at));
    hear(ours, 'room:message', (m) => line(at.room, m.from, m.data, m.at));
    for (const event of ['state', 'online', 'offline', 'status', 'counts']) hear(ours, `presence:${event}`, refreshSoon);
    hear(ours, 'session:replaced', ({ instance }) => note(at.direct, `This device has connected anew, to ${instance}`));
    hear(ours, 'connect_error', (err) => {
      if (ours.active) status('wait', `Cannot reach the server (${err.message}); trying again`);
      else disconnect('bad', `Refused: ${err.message}`);
    });
    hear(ours, 'disconnect', (reason) => {
      if (ours.active) status('wait', `Connection lost (${reason}); reconnecting`);
      else disconnect('bad', `Ended by the server (${reason})`);
    });
    hear(ours.io, 'reconnect_attempt', (n) => status('wait', `Reconnecting, attempt ${n}`));
    status('wait', 'Connecting');
  }

  function disconnect(state, text) {
    const ours = socket;
    socket = null;
    ours.disconnect();
    if (!settings.token) at.name.placeholder = 'anonymous';
    leftRoom();
    showPeople(nobodyHere);
    at.nobody.hidden = false;
    status(state, text);
  }

  // ask resolves with the server's answer, or undefined once it has written
  // to log, if there is one, why there is none.
  async function ask(log, event, ...args) {
    try {
      const answer = await socket.timeout(5000).emitWithAck(event, ...args);
      if (answer.ok) return answer;
      note(log, `${answer.error.message} (${answer.error.code})`);
    } catch {
      note(log, 'No answer from the server');
    }
  }

  async function refresh() {
    const ours = socket;
    const answer = ours?.connected && (await ask(null, 'presence:list', { limit: shown.people }));
    if (answer && ours === socket) showPeople(answer);
  }

  // refreshSoon has many changes shown at once.
  let soon = 0;
  function refreshSoon() {
    soon ||= setTimeout(() => {
      soon = 0;
      refresh();
    }, 50);
  }
  setInterval(() => document.hidden || refresh(), 5000); // device counts change without an event

  const nobodyHere = { users: [], total: { users: 0 }, state: 'synced' };

  function showPeople({ users, total, state }) {
    const now = JSON.stringify([users, total, state]);
    if (now === people) return;
    people = now;
    at.stale.hidden = state === 'synced';
    at.stale.textContent =
      state === 'cut off'
        ? 'This instance is cut off from the others: who is on them may have changed.'
        : 'This instance is still learning who is on the others.';
    const focused = at.people.contains(document.activeElement) && document.activeElement.dataset.user;
    at.nobody.hidden = users.length > 0;
    at.people.replaceChildren(
      ...users.map((u) => {
        const button = make('button', '', u.user === me ? `${u.user} (you)` : u.user);
        button.type = 'button';
        button.dataset.user = u.user;
        const devices = u.devices === 1 ? '1 device' : `${u.devices} devices`;
        button.append(make('small', '', [u.status, `${devices} on ${u.instances.join(', ')}`].filter(Boolean).join(', ')));
        button.onclick = () => {
          at.to.value = u.user;
          at.text.focus();
        };
        const item = make('li');
        item.append(button);
        return item;
      }),
    );
    if (total.users > users.length) at.people.append(make('li', 'hint', `and ${total.users - users.length} more`));
    if (focused) [...at.people.querySelectorAll('button')].find((b) => b.dataset.user === focused)?.focus();
  }

  async function enter(name) {
    const answer = await ask(at.room, 'room:join', name);
    if (!answer) return;
    room = answer.room;
    at.inside.textContent = `in ${room}`;
    at.inside.hidden = false;
    at.key.textContent = 'Leave';
    at.door.disabled = true;
    at.speak.querySelector('button').disabled = false;
  }

  function leftRoom() {
    room = '';
    at.inside.hidden = true;
    at.key.textContent = 'Join';
    at.door.disabled = false;
    at.speak.querySelector('button').disabled = true;
  }

  on(at.connection, () => (socket ? disconnect('off', 'Not connected') : connect()));
  on(at.write, async () => {
    const to = at.to.value.trim();
    const data = at.text.value;
    at.text.value = '';
    const answer = await ask(at.direct, 'message', { to, data });
    if (!answer) return;
    const reached = ['not online', 'to 1 device'][answer.devices] ?? `to ${answer.devices} devices`;
    line(at.direct, `to ${to}`, data, Date.now(), 'sent', reached);
  });
  on(at.enter, async () => {
    if (!room) return enter(at.door.value.trim());
    if (await ask(at.room, 'room:leave', room)) leftRoom();
  });
  on(at.speak, () => {
    const data = at.speech.value;
    at.speech.value = '';
    return ask(at.room, 'room:message', { room, data });
  });
  document.querySelector('.panes').append(pane);
}

// line puts what came from others in as text, never as markup.
function line(log, who, data, at, className = '', note = '') {
  const item = make('li', className);
  item.append(make('strong', '', `${who} `), make('span', '', show(data)));
  item.append(make('small', '', [note, new Date(at).toLocaleTimeString()].filter(Boolean).join(', ')));
  append(log, item, shown.lines);
}

function note(log, text) {
  if (log) append(log, make('li', 'error', text), shown.lines);
}

function show(data) {
  if (typeof data === 'string') return data;
  if (data instanceof ArrayBuffer) return `[${data.byteLength} bytes]`;
  return JSON.stringify(data) ?? '';
}
