// Browsers with a page of the server, for the scripts that look at it.
import { chromium } from 'playwright-core';
import { until } from './lib.mjs';

const browsers = [];

export const complaints = []; // of the pages, on their consoles

// open opens a browser of its own and resolves with its page.
export async function openPage(executablePath, url, options) {
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
  return page;
}

export const closeBrowsers = () => Promise.all(browsers.map((browser) => browser.close()));

// wider resolves with how many pixels the page is too wide.
export const wider = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

// A Console is the part of a page that tells of the nodes.
export class Console {
  constructor(page) {
    this.page = page;
    this.nodes = page.getByRole('region', { name: 'Nodes' });
    this.online = page.getByRole('region', { name: 'Who is online' });
  }

  live(text, ms = 15_000) {
    return this.page.locator('header').getByRole('status').filter({ hasText: text }).waitFor({ timeout: ms });
  }

  // cell waits until a cell of a node's row, counted from 0 after its name, has
  // a text that fits.
  async cell(node, i, fits, ms = 10_000) {
    const cell = this.nodes.getByRole('row').filter({ has: this.page.getByRole('rowheader', { name: node }) }).getByRole('cell').nth(i);
    let text;
    return until(ms, () => `cell ${i} of ${node} is ${text}, want ${fits}`, async () => {
      text = await cell.innerText({ timeout: ms });
      return fits.test(text) && text;
    });
  }
}

// The cells of a node's row.
export const cells = { state: 0, connections: 1, sockets: 2, rooms: 3, users: 4, messages: 5, events: 6, lag: 7 };
