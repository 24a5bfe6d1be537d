/** Where access is controlled the page asks for a token, and then shows what that may see. */

import { createHmac } from 'node:crypto';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch } from './browser.ts';
import { Server } from './server.ts';

const SECRET = 'a secret of more than thirty-two bytes';

let browser: Browser;
let server: Server;
beforeAll(async () => {
  const locked = { PUSHSVC_AUTH_MODE: 'jwt', PUSHSVC_AUTH_SECRET: SECRET };
  [browser, server] = await Promise.all([launch(), Server.start('serve', 0, locked)]);
});
afterAll(async () => {
  await Server.stopAll();
  await browser?.close();
});

test('the form takes a token, and the page shows what it may see', async () => {
  for (const tenant of ['acme', 'beta']) {
    const answer = await fetch(`${server.url}/v1/samples`, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${token(tenant)}`,
        'Content-Type': 'application/json',
      },
      body: JSON.stringify({ name: `of_${tenant}`, labels: { tenant }, value: 1 }),
    });
    expect(answer.status).toBe(200);
  }
  const context = await browser.newContext({ locale: 'en-GB' });
  const page = await context.newPage();
  const refused: string[] = [];
  page.on('console', (message) => {
    if (/Content.Security.Policy/i.test(message.text())) {
      refused.push(message.text());
    }
  });
  await page.goto(server.url);
  await page.getByLabel('Your key or token').fill('not a token');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('alert').waitFor();

  await page.getByLabel('Your key or token').fill(token('acme'));
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.locator('.panel').first().waitFor();
  await expect.poll(() => page.locator('body').innerText()).toContain('of_acme');
  expect(await page.locator('body').innerText()).not.toContain('of_beta');
  const [cookie] = await context.cookies();
  expect(cookie).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Strict' });
  expect(await page.evaluate(() => document.cookie)).toBe('');
  expect(refused).toEqual([]);

  await context.clearCookies();
  await page.reload();
  await page.getByLabel('Your key or token').waitFor();
  await context.close();
});

/** An HS256 token for one tenant, as an issuer would sign it. */
function token(tenant: string): string {
  const own = [`{tenant="${tenant}"}`];
  const claims = {
    sub: tenant,
    exp: Math.floor(Date.now() / 1000) + 600,
    pushsvc: { read: own, write: own },
  };
  const signed = [{ alg: 'HS256', typ: 'JWT' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}
