// Pages in a headless Chromium: the one that is on this machine.

import { accessSync, constants } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const CDN = 'https://cdn.jsdelivr.net/npm/';
const FOLDER = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);

/** Starts it, and fails with what to do if there is none. */
export function launch() {
  return chromium.launch({ executablePath: find(), args: ['--no-sandbox'] });
}

function find() {
  const named = process.env.CHROMIUM;
  const folders = (process.env.PATH ?? '').split(delimiter);
  const paths = named ? [named] : folders.flatMap((at) => NAMES.map((name) => join(at, name)));
  const found = paths.find(isProgram);
  if (found) return found;
  throw new Error('no Chromium: `make setup` installs it, or CHROMIUM names one');
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * A page whose SDKs come from node_modules instead of the CDN that it names, and which reaches
 * nothing beyond this machine. What goes wrong in it is in `problems`.
 */
export async function newPage(browser) {
  const context = await browser.newContext();
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  const problems = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  await context.route(
    (address) => address.hostname !== '127.0.0.1',
    async (route) => {
      const [, name, version, file] =
        /^((?:@[^/]+\/)?[^@/]+)@([^/]+)\/(.*)$/.exec(route.request().url().replace(CDN, '')) ?? [];
      const root = name && join(FOLDER, 'node_modules', name);
      const installed = root && require(join(root, 'package.json')).version;
      if (!installed || installed !== version) return route.abort();
      return route.fulfill({
        path: join(root, file),
        contentType: 'text/javascript',
        headers: { 'access-control-allow-origin': '*' },
      });
    },
  );
  return { page, problems };
}
