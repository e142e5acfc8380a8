/** The Chromium of the machine, quiet and with a fresh profile. */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const paths = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const quiet = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Throws where there is no browser: a browser test that cannot see a page has failed. */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = paths.find((path) => existsSync(path));
  if (executablePath === undefined) throw new Error('No Chromium found; on Debian: apt-get install chromium.');
  return chromium.launch({ executablePath, args: quiet });
}
