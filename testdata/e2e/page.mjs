// The page to try the server, in two browsers on two instances.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { ask, check, done } from './lib.mjs';

const [a, b, executablePath, artifacts] = process.argv.slice(2);
const browsers = [];
const complaints = []; // of the pages, on their consoles

// visit opens a browser of its own and resolves with the page's two panes.
async function visit(url, options) {
  const browser = await chromium.launchPersistentContext('', {
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
    viewport: { width: 1180, height: 960 },
    ...options,
  });
  browsers.push(browser);
  browser.setDefaultTimeout(15_000);
  const [page] = browser.pages();
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && complaints.push(m.text()));
  page.on('pageerror', (err) => complaints.push(err.message));
  await page.goto(url);
  return [page.getByLabel('First client'), page.getByLabel('Second client')].map((pane) => new Pane(page, pane));
}

class Pane {
  constructor(page, pane) {
    this.page = page;
    this.pane = pane;
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

  await check('screenshots', async () => {
    await alice.screenshot('page-light');
    await bob.screenshot('page-dark');
    await alice.page.setViewportSize({ width: 390, height: 844 });
    const wider = await alice.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    await alice.screenshot('page-phone');
    assert.ok(wider <= 0, `on a phone the page is ${wider}px too wide`);
  });

  await check('who left is not shown any more', async () => {
    await other.disconnect();
    for (const pane of [alice, bob]) await pane.person('carol').waitFor({ state: 'detached', timeout: 30_000 });
  });

  await check('the pages do not complain', () => assert.deepEqual(complaints, []));

  await check('a status is seen', async () => {
    await bob.page.evaluate(() => io(location.origin, { forceNew: true, auth: { user: 'dora' } }).emit('presence:update', { status: 'away' }));
    await alice.person('dora away, 1 device on node-b').waitFor();
    await alice.screenshot('page-presence-away');
  });

  await check('an instance that is killed: its people are here for the grace, and then gone', async () => {
    const killed = Date.now();
    await ask('kill b');
    await bob.status(/^(Connection lost|Cannot reach|Reconnecting)/);
    await alice.person('bob').waitFor(); // it may only be restarting
    await alice.screenshot('page-presence-grace');
    await bob.screenshot('page-presence-lost');
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
    await alice.screenshot('page-presence-back');
  });
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
}

done();
