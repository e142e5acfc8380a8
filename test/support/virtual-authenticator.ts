/** Pages of a real browser with a virtual authenticator, over the DevTools protocol. https://chromedevtools.github.io/devtools-protocol/tot/WebAuthn/ */
import type { Browser, BrowserContext, BrowserContextOptions, CDPSession, Page } from 'playwright-core';

export type Opened = {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the browser says of the page, and what the page asks of anybody but `origins`. */
  readonly complaints: string[];
  readonly devtools: CDPSession;
  /** Id of the authenticator. */
  readonly first: string;
};

type Opening = BrowserContextOptions & { readonly verified?: boolean };

/** On a phone, unless said. `verified`: whether the authenticator verifies whoever uses it. */
export async function openWithAuthenticator(
  browser: Browser,
  origins: readonly string[],
  { verified = true, ...more }: Opening = {},
): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 390, height: 800 }, ...more });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    // Chromium misses RS256, which no key here has.
    if (!message.text().includes('pubKeyCredParams')) complaints.push(message.text());
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith('data:') && !origins.some((origin) => url.startsWith(origin))) complaints.push(url);
  });
  const devtools = await context.newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const first = await addAuthenticator(devtools, { transport: 'internal', verified });
  return { context, page, complaints, devtools, first };
}

type Device = { readonly transport: 'internal' | 'usb'; readonly verified: boolean };

export async function addAuthenticator(devtools: CDPSession, { transport, verified }: Device): Promise<string> {
  const able = { hasResidentKey: true, hasUserVerification: true, isUserVerified: verified, automaticPresenceSimulation: true };
  return (await devtools.send('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport, ...able } })).authenticatorId;
}

/** With a one-time code, on our own pages, in whichever language they are. */
export async function enrolOn(page: Page, origin: string, code: string): Promise<void> {
  await page.goto(`${origin}/patient/enrol`);
  await page.locator('input[name=code]').fill(code);
  await page.locator('form[data-passkey=enrol] button').click();
}
