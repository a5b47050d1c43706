// The console of a server that lets in who has a token.
import assert from 'node:assert/strict';
import { cells, closeBrowsers, complaints, Console, openPage } from './browser.mjs';
import { check, done } from './lib.mjs';

const [url, executablePath, artifacts, token, blind, short] = process.argv.slice(2);

try {
  const page = await openPage(executablePath, url);
  const console = new Console(page);
  const field = page.getByLabel('Token', { exact: true }).first();
  const show = async (what) => {
    await field.fill(what);
    await page.keyboard.press('Enter');
  };

  await check('without a token nothing is told', async () => {
    await console.live('Not watching: a token is needed');
    await page.screenshot({ path: `${artifacts}/page-token.png`, fullPage: true });
    assert.equal(await console.nodes.getByRole('rowheader').count(), 0);
  });

  await check('with a token it is live until that expires', async () => {
    await show(short);
    await console.live('Live from belfry');
    await console.live('Not watching: the token has expired', 40_000);
    await field.waitFor();
  });

  await check('nothing is told for one that is forged, or of somebody who may not see presence', async () => {
    await show(`${token.slice(0, -4)}AAAA`);
    await console.live(/^Not watching: (?!a token is needed).+/);
    await show(blind);
    await console.live('Not watching: not allowed to see who is online');
  });

  await check('with a good one it is live, and a client gets in too', async () => {
    await show(token);
    await console.live('Live from belfry');
    await field.waitFor({ state: 'hidden' });
    await console.cell('belfry', cells.state, /^up/);
    const pane = page.getByLabel('First client');
    await pane.getByLabel('Token').fill(token);
    await pane.getByRole('button', { name: 'Connect' }).click();
    await pane.getByRole('status').filter({ hasText: /^Connected to belfry as anna/ }).waitFor();
    await console.online.getByRole('row', { name: 'anna 1 belfry' }).waitFor();
  });

  await check('the tab keeps it, and it is in no place that others see', async () => {
    await page.reload();
    await console.live('Live from belfry');
    const elsewhere = await page.evaluate(() => JSON.stringify([{ ...localStorage }, document.cookie, location.href]));
    assert.ok(!elsewhere.includes(token));
  });

  await check('the page does not complain', () => assert.deepEqual(complaints, []));
} finally {
  await closeBrowsers();
}

done();
