// Socket.IO's Admin UI, in a browser, on an instance with two clients.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { check, closeAll, done, modes, open, until } from './lib.mjs';

const [ui, server, executablePath, artifacts] = process.argv.slice(2);
const complaints = [];
const browser = await chromium.launchPersistentContext('', {
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
  viewport: { width: 1400, height: 1000 },
});
browser.setDefaultTimeout(15_000);
const [page] = browser.pages();
page.on('pageerror', (err) => complaints.push(err.message));
// Its fonts are elsewhere; the test needs none.
await page.route((url) => ![ui, server].includes(url.origin), (route) => route.abort());

// goto opens one of the UI's views, which the fragment names: it is one page.
// The view before slides away; both are there meanwhile.
async function goto(view, title) {
  await page.evaluate((hash) => (location.hash = hash), `#/${view}`);
  const titles = page.locator('.v-breadcrumbs');
  let shown;
  await until(
    10_000,
    () => `${shown}, want ${title}`,
    async () => {
      shown = (await titles.allTextContents()).map((text) => text.replace(/\s/g, '')).join();
      return shown === title;
    },
  );
}

const dialog = page.locator('.v-dialog--active');
const rows = () => page.locator('.v-data-table tbody tr');
const row = (text) => rows().filter({ hasText: text });
const card = (title) => page.locator('.v-card').filter({ has: page.locator('.v-card__title', { hasText: title }) });
const shot = (name) => page.screenshot({ path: `${artifacts}/admin-${name}.png`, fullPage: true });

async function login(password) {
  await page.getByLabel('Server URL').fill(server);
  await page.getByLabel('Username').fill('sexton');
  await page.getByLabel('Password').fill(password);
  await dialog.getByRole('button', { name: 'Connect' }).click();
}

// counts reads a table of the dashboard: what each row begins with, and its number.
const counts = async (title) =>
  Object.fromEntries(
    (await card(title).locator('tbody tr').allInnerTexts())
      .map((text) => text.split(/\s+/).filter(Boolean))
      .filter((words) => words.length > 1)
      .map((words) => [words[0], Number(words.find((word) => /^\d+$/.test(word)))]),
  );

async function shows(title, want) {
  let got;
  await until(
    15_000,
    () => `${title}: ${JSON.stringify(got)}, want ${JSON.stringify(want)}`,
    async () => {
      got = await counts(title);
      return Object.entries(want).every(([name, n]) => got[name] === n);
    },
  );
}

try {
  const alice = await open(server, 'alice', modes.websocket);
  const bob = await open(server, 'bob', modes.polling);
  await page.goto(ui);

  await check('a wrong password is refused', async () => {
    await login('bells');
    await page.getByText('invalid credentials').waitFor();
    await shot('refused');
  });

  await check('the right one is not', async () => {
    await login('bells and whistles');
    await dialog.waitFor({ state: 'hidden' });
  });

  await check('the dashboard shows clients, servers and namespaces', async () => {
    await shows('Clients', { WebSocket: 2, HTTP: 1 }); // the UI itself is a client
    await shows('Servers', { HEALTHY: 1, UNHEALTHY: 0 });
    await shows('Namespaces', { '/': 2, '/admin': 1 });
    await shot('dashboard');
  });

  await check('a browser that comes back need not log in', async () => {
    await page.reload();
    await shows('Namespaces', { '/': 2, '/admin': 1 });
    assert.equal(await dialog.isVisible(), false);
  });

  await check('the server is listed by its name', async () => {
    await goto('servers/', 'Servers');
    await row('belfry').waitFor();
    await shot('servers');
  });

  await check('sockets are listed, as they come', async () => {
    await goto('sockets/', 'Sockets');
    for (const client of [alice, bob]) await row(client.session.id).waitFor();
    await row(bob.session.id).getByText('HTTP long-polling').waitFor();
    const carol = await open(server, 'carol', modes.upgrade);
    await row(carol.session.id).getByText('WebSocket').waitFor(); // it was polling at first
    assert.equal(await rows().count(), 3);
    await shot('sockets');
    carol.close();
    await row(carol.session.id).waitFor({ state: 'detached' });
  });

  await check('rooms and events are shown', async () => {
    await alice.emit('room:join', 'tower');
    await goto('rooms/', 'Rooms');
    await row('room:tower').waitFor();
    await shot('rooms');
    await goto('events/', 'Events');
    await row('room:join').waitFor();
    await row('room:tower').first().waitFor();
    await shot('events');
  });

  await check('the page of a socket shows its rooms', async () => {
    await goto(`n/${encodeURIComponent('/')}/sockets/${bob.session.id}`, 'Sockets/Socketdetails');
    await page.getByText('user:bob').first().waitFor();
    await shot('socket');
  });

  await check('a socket is disconnected', async () => {
    await goto('sockets/', 'Sockets');
    await row(bob.session.id).getByRole('button').click(); // which opens the socket's page as well
    assert.equal(await bob.next('disconnect'), 'io server disconnect');
    await goto('sockets/', 'Sockets');
    await row(alice.session.id).waitFor();
    await row(bob.session.id).waitFor({ state: 'detached' });
    await shot('disconnected');
    await goto('', 'Dashboard');
    await shows('Namespaces', { '/': 1, '/admin': 1 });
  });

  await check('the UI does not complain', () => assert.deepEqual(complaints, []));
} finally {
  closeAll();
  await browser.close();
}

done();
