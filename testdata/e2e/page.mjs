// The console, and the clients below it, in two browsers on two instances.
import assert from 'node:assert/strict';
import { cells, closeBrowsers, complaints, Console, openPage, wider } from './browser.mjs';
import { ask, check, done, until } from './lib.mjs';

const [a, b, executablePath, artifacts] = process.argv.slice(2);

// visit opens a browser of its own and resolves with the page's two panes.
async function visit(url, options) {
  const page = await openPage(executablePath, url, options);
  return [page.getByLabel('First client'), page.getByLabel('Second client')].map((pane) => new Pane(page, pane));
}

class Pane {
  constructor(page, pane) {
    this.page = page;
    this.pane = pane;
    this.console = new Console(page);
  }

  async connect() {
    await this.pane.getByRole('button', { name: 'Connect' }).click();
    await this.status(/^Connected to .+ over websocket$/);
  }

  async disconnect() {
    await this.pane.getByRole('button', { name: 'Disconnect' }).click();
    await this.status(/^Not connected$/);
  }

  status(text) {
    return this.pane.getByRole('status').filter({ hasText: text }).waitFor();
  }

  // person is somebody in the list, whom a click makes the one to write to.
  person(name) {
    return this.pane.getByRole('listitem').getByRole('button', { name });
  }

  async write(to, text) {
    await this.person(to).click();
    await this.page.keyboard.type(text); // the message has the focus
    await this.page.keyboard.press('Enter');
  }

  async join(room) {
    await this.pane.getByLabel('Name of the room').fill(room);
    await this.pane.getByRole('button', { name: 'Join' }).click();
    await this.pane.getByText(`in ${room}`).waitFor();
  }

  async speak(text) {
    await this.pane.getByLabel('Message to the room').fill(text);
    await this.page.keyboard.press('Enter');
  }

  hears(log, text) {
    return this.pane.getByRole('log', { name: log }).getByRole('listitem').filter({ hasText: text }).waitFor();
  }

  screenshot(name) {
    return this.page.screenshot({ path: `${artifacts}/${name}.png`, fullPage: true });
  }
}

try {
  const [alice, other] = await visit(`${a}/?left=alice&right=carol&server=${encodeURIComponent(b)}`);
  const [bob] = await visit(`${b}/?left=bob`, { colorScheme: 'dark' });

  await check('each console shows both nodes, and nobody is online by looking', async () => {
    await alice.console.live('Live from node-a');
    await bob.console.live('Live from node-b');
    for (const { console } of [alice, bob]) {
      for (const node of ['node-a', 'node-b']) {
        await console.cell(node, cells.state, /^up\s+broker up$/);
        await console.cell(node, cells.connections, /^1$/); // the console's own
        await console.cell(node, cells.users, /^0$/);
        await console.cell(node, cells.lag, /^<?[\d.]+ \/ <?[\d.]+ ms$/);
      }
      await console.online.getByText('0 users on 0 devices; mode all; synced').waitFor();
    }
  });

  await check('each sees the other, and on which instance', async () => {
    await alice.connect();
    await bob.connect();
    await alice.person('bob 1 device on node-b').waitFor();
    await bob.person('alice 1 device on node-a').waitFor();
    await alice.person('alice (you)').waitFor();
  });

  await check('a direct message is seen', async () => {
    await alice.write('bob', 'Good morning, bob');
    await bob.hears('Messages', 'alice Good morning, bob');
    await alice.hears('Messages', /to bob Good morning, bob.*to 1 device/);
    await bob.write('alice', 'Good morning, alice');
    await alice.hears('Messages', 'bob Good morning, alice');
  });

  await check('a message is text and nothing else', async () => {
    const text = '<img src=x onerror=alert(1)><b>bold</b>';
    await bob.write('alice', text);
    await alice.hears('Messages', text);
    assert.equal(await alice.pane.locator('li img, li b').count(), 0);
  });

  await check('a room message is seen', async () => {
    await alice.join('belfry');
    await bob.join('belfry');
    await bob.speak('Who rings today?');
    for (const pane of [alice, bob]) await pane.hears('Room', 'bob Who rings today?');
    await alice.speak('All of us.');
    for (const pane of [alice, bob]) await pane.hears('Room', 'alice All of us.');
  });

  await check('a pane may use another instance', async () => {
    await other.connect();
    await other.status(/Connected to node-b/);
    for (const pane of [alice, bob]) await pane.person('carol 1 device on node-b').waitFor();
  });

  await check('the console counts them', async () => {
    for (const { console } of [alice, bob]) {
      await console.cell('node-a', cells.connections, /^2$/); // the console of alice, and her client
      await console.cell('node-b', cells.connections, /^3$/);
      await console.cell('node-a', cells.sockets, /^1$/);
      await console.cell('node-b', cells.sockets, /^2$/);
      await console.cell('node-b', cells.rooms, /^1$/);
      await console.cell('node-b', cells.users, /^2$/);
      await console.online.getByText('3 users on 3 devices').waitFor();
      await console.online.getByRole('row', { name: 'bob 1 node-b' }).waitFor();
    }
  });

  await check('rates move with what is sent', async () => {
    const numbers = async (i, console, node) => (await console.cell(node, i, /^[\d.]+ \/ [\d.]+$/)).split(' / ').map(Number);
    const sending = alice.page.evaluate(async () => {
      const socket = io(location.origin, { forceNew: true, auth: { user: 'ringer' } });
      for (let i = 0; i < 120; i++) {
        socket.emit('message', { to: 'carol', data: `bell ${i}` });
        await new Promise((done) => setTimeout(done, 25));
      }
      socket.disconnect();
    });
    for (const { console } of [alice, bob]) {
      await until(10_000, () => 'no rate of events', async () => (await numbers(cells.events, console, 'node-a'))[0] > 15);
      await until(10_000, () => 'no rate of messages', async () => (await numbers(cells.messages, console, 'node-a'))[1] > 5);
      await until(10_000, () => 'no rate of events', async () => (await numbers(cells.events, console, 'node-b'))[1] > 15);
    }
    await sending;
    for (const { console } of [alice, bob]) {
      await until(10_000, () => 'the rate stays', async () => (await numbers(cells.events, console, 'node-a'))[0] < 5);
    }
  });

  await check('with the keyboard alone, into a room and out', async () => {
    const [, kay] = await visit(`${a}/?right=kay`);
    const { keyboard } = kay.page;
    const focused = (f) => kay.page.evaluate(f);
    // tabTo presses Tab until what has the focus is the labelled or named element of the pane.
    const tabTo = async (name) => {
      for (let i = 0; i < 60; i++) {
        await keyboard.press('Tab');
        const at = await focused(() => {
          const e = document.activeElement;
          return [e.closest('section')?.getAttribute('aria-label'), e.labels?.[0]?.innerText.trim() || e.innerText?.trim(), getComputedStyle(e).outlineStyle];
        });
        if (at[0] !== 'Second client' || at[1] !== name) continue;
        assert.notEqual(at[2], 'none', `the focus on ${name} is not to be seen`);
        return;
      }
      throw new Error(`Tab does not reach ${name}`);
    };
    await tabTo('Connect');
    await keyboard.press('Enter');
    await kay.status(/^Connected to node-a/);
    await tabTo('Name of the room');
    await keyboard.press('Control+A');
    await keyboard.type('belfry');
    await keyboard.press('Enter');
    await kay.pane.getByText('in belfry').waitFor();
    await tabTo('Message to the room');
    await keyboard.type('By hand');
    await keyboard.press('Enter');
    for (const pane of [kay, alice, bob]) await pane.hears('Room', 'kay By hand');
    await kay.page.close();
    await alice.person('kay').waitFor({ state: 'detached', timeout: 30_000 });
  });

  await check('screenshots', async () => {
    await alice.screenshot('page-light');
    await bob.screenshot('page-dark');
    for (const [pane, name] of [[alice, 'page-phone'], [bob, 'page-phone-dark']]) {
      await pane.page.setViewportSize({ width: 390, height: 844 });
      const by = await wider(pane.page);
      await pane.screenshot(name);
      assert.ok(by <= 0, `on a phone the page is ${by}px too wide`);
      await pane.page.setViewportSize({ width: 760, height: 960 });
      assert.ok((await wider(pane.page)) <= 0, 'on a tablet the page is too wide');
      await pane.page.setViewportSize({ width: 1180, height: 960 });
    }
  });

  await check('who left is not shown any more', async () => {
    await other.disconnect();
    for (const pane of [alice, bob]) await pane.person('carol').waitFor({ state: 'detached', timeout: 30_000 });
  });

  await check('the pages do not complain', () => assert.deepEqual(complaints, []));

  await check('a status is seen', async () => {
    await bob.page.evaluate(() => io(location.origin, { forceNew: true, auth: { user: 'dora' } }).emit('presence:update', { status: 'away' }));
    await alice.person('dora away, 1 device on node-b').waitFor();
    await alice.console.online.getByRole('row', { name: 'dora away 1 node-b' }).waitFor();
    await alice.screenshot('page-presence-away');
  });

  await check('an instance that is killed: its people are here for the grace, and then gone', async () => {
    const killed = Date.now();
    await ask('kill b');
    await bob.status(/^(Connection lost|Cannot reach|Reconnecting)/);
    await alice.person('bob').waitFor(); // it may only be restarting
    await alice.screenshot('page-presence-grace');
    await bob.console.live(/lost|Cannot reach|Reconnecting/);
    await alice.console.cell('node-b', cells.state, /^down\s+for \d+s$/);
    await alice.console.cell('node-b', cells.connections, /^–$/);
    await alice.screenshot('page-node-down');
    await bob.screenshot('page-lost');
    await alice.person('bob').waitFor({ state: 'detached', timeout: 15_000 });
    const took = Date.now() - killed;
    assert.ok(took > 4000 && took < 11_000, `gone after ${took} ms`);
    await alice.person('alice (you)').waitFor();
    await alice.screenshot('page-presence-gone');
  });

  await check('it comes back, and they with it', async () => {
    await ask('start b');
    await bob.status(/^Connected to node-b/);
    await alice.person('bob 1 device on node-b').waitFor();
    await bob.person('alice 1 device on node-a').waitFor();
    await alice.console.cell('node-b', cells.state, /^up/);
    await alice.console.cell('node-b', cells.users, /^2$/); // bob and dora
    await alice.screenshot('page-presence-back');
  });
  await check('many people are shown page by page', async () => {
    await alice.page.evaluate(() => {
      for (let i = 0; i < 60; i++) io(location.origin, { forceNew: true, transports: ['websocket'], auth: { user: `ringer ${i}` } });
    });
    const { online } = alice.console;
    await online.getByText('63 users on 63 devices').waitFor(); // and alice, bob and dora
    const names = async (n) => {
      let all;
      return until(10_000, () => `${all?.length} people, want ${n}`, async () => {
        all = await online.getByRole('rowheader').allInnerTexts();
        return all.length === n && all;
      });
    };
    const one = await names(25);
    await online.getByRole('button', { name: 'Next page' }).focus();
    await alice.page.keyboard.press('Enter');
    const two = await until(10_000, () => 'no second page', async () => {
      const all = await names(25);
      return all[0] !== one[0] && all;
    });
    await alice.page.keyboard.press('Enter');
    const three = await names(13);
    assert.equal(new Set([...one, ...two, ...three]).size, 63);
    await alice.screenshot('page-many');
    await alice.page.keyboard.press('Enter'); // the focus is on the way back
    assert.deepEqual(await names(25), one);
  });
} finally {
  await closeBrowsers();
}

done();
