// examples/chat-window in Chromium: a page of one origin, the archive at another, and live messages
// from a third.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { launch, newPage } from './chromium.js';
import { serveExample } from './example.js';
import { Live } from './live.js';
import { expired, jwt, path } from './sdk.js';
import { keys, messages, room, url } from './truth.js';

const timeout = 60_000;
let browser, example, live, page, problems;

before(async () => {
  [browser, example] = await Promise.all([launch(), serveExample()]);
});
after(async () => {
  await browser?.close();
  example?.server.closeAllConnections();
  example?.server.close();
});
beforeEach(async () => {
  live = await Live.start();
  ({ page, problems } = await newPage(browser));
});
afterEach(async () => {
  await page.context().close();
  live.close();
});

/** Opens the window, of which Ably retains so many messages. */
async function open(retained, settings = {}) {
  const newest = messages.slice(messages.length - retained);
  newest.forEach(({ latest }) => live.retain(room, latest));
  const hash = new URLSearchParams({ room, archive: url, live: live.url, ...settings });
  await page.goto(`${example.url}#${hash}`);
}

/** What the window shows, from top to bottom. */
const shown = () =>
  page.$$eval('#messages li', (items) =>
    items.map((item) => {
      const of = (selector) => item.querySelector(selector)?.textContent ?? '';
      const { serial, version, action } = item.dataset;
      const [text, reactions] = [of('.text'), of('.reactions')];
      return { serial, version, action, author: of('b'), text, reactions };
    }),
  );

/** What it must show of a message. */
const expected = ({ latest }) => ({
  serial: latest.serial,
  version: latest.version.serial,
  action: latest.action,
  author: latest.clientId,
  text: latest.action === 'message.delete' ? 'deleted' : latest.text,
  reactions: ['unique', 'distinct', 'multiple']
    .flatMap((kind) => Object.entries(latest.reactions[kind]))
    .map(([name, { total }]) => `${name} ${total}`)
    .join('  '),
});

const sorted = (list) =>
  list.map((it) => ({ ...it, reactions: it.reactions.split('  ').sort().join('  ') }));

/** Scrolls up until so many messages are there, or the room begins. */
async function scrollUp(atLeast = Infinity) {
  for (;;) {
    const count = await page.$$eval('#messages li', (items) => items.length);
    const isEnd = (await page.$('#beginning[data-end]')) !== null;
    if (isEnd || count >= atLeast) return;
    await page.$eval('#window', (pane) => (pane.scrollTop = 0));
    await page.waitForFunction(
      (before) =>
        document.querySelectorAll('#messages li').length > before ||
        document.querySelector('#beginning[data-end], #beginning[data-code]'),
      count,
    );
    assert.equal(await page.$('#beginning[data-code]'), null);
  }
}

for (const [source, retained, credentials] of [
  ['archive', 1, { key: keys.all }],
  ['both', 0, { key: keys.all }],
  ['both', 250, 'authUrl'],
]) {
  const name = `a whole room, read from ${source}, Ably retaining ${retained}`;
  test(`${name}, by ${credentials === 'authUrl' ? 'JWT' : 'key'}`, { timeout }, async () => {
    if (credentials === 'authUrl') {
      await page.route(/\/token\?/, (route) =>
        route.fulfill({ contentType: 'application/jwt', body: jwt() }),
      );
    }
    const settings = credentials === 'authUrl' ? { authUrl: `${example.url}token` } : credentials;
    if (retained === 0) live.last = messages.at(-1).latest.serial;
    await open(retained, { source, ...settings });
    await scrollUp();
    assert.deepEqual(sorted(await shown()), sorted(messages.map(expected)));
    assert.deepEqual(problems, []);
  });
}

test('what happens while somebody scrolls', { timeout }, async () => {
  await open(120, { source: 'both', key: keys.all });
  await scrollUp(150);
  const later = '09999999999999-000@aBcDeFgHi12345678:000';
  const change = (message, action, text, version) => ({
    ...message.latest,
    action,
    text,
    version: { ...message.latest.version, serial: version },
  });
  const [old, seen] = [messages[7], messages.at(-20)];
  const sent = { latest: { ...messages[0].latest, serial: later, version: { serial: later } } };
  const said = change(sent, 'message.create', 'just now', later);
  live.publish(room, said);
  live.publish(room, change(seen, 'message.update', 'seen and edited', later));
  live.publish(room, change(old, 'message.update', 'edited before it was seen', later));
  const thumbs = { 'reaction:distinct.v1': { '👍': { total: 41, clientIds: [] } } };
  live.react(room, messages.at(-30).latest, thumbs);
  await page.waitForSelector(`#messages li:last-child[data-serial="${later}"]`);
  await page.waitForSelector('.reactions:text-is("👍 41")');
  await scrollUp();
  const all = await shown();
  const serials = [...messages.map(({ serial }) => serial), later];
  assert.deepEqual(
    all.map(({ serial }) => serial),
    serials,
  );
  const textOf = (wanted) => all.find(({ serial }) => serial === wanted).text;
  assert.equal(textOf(later), 'just now');
  assert.equal(textOf(seen.serial), 'seen and edited');
  assert.equal(textOf(old.serial), 'edited before it was seen');
  assert.deepEqual(problems, []);
});

test('what somebody reads stays where it is', { timeout }, async () => {
  await open(100, { source: 'both', key: keys.all });
  await page.waitForSelector('#messages li');
  const isAtBottom = () =>
    page.$eval('#window', (it) => it.scrollHeight - it.scrollTop - it.clientHeight < 5);
  assert.ok(await isAtBottom());
  const moved = await page.evaluate(async () => {
    const [pane, list] = ['#window', '#messages'].map((it) => document.querySelector(it));
    pane.scrollTop = 200;
    const [first, count] = [list.firstElementChild, list.children.length];
    const before = first.getBoundingClientRect().top;
    await new Promise((resolve) => {
      const observer = new MutationObserver(() => list.children.length > count && resolve());
      observer.observe(list, { childList: true });
    });
    return first.getBoundingClientRect().top - before;
  });
  assert.ok(Math.abs(moved) < 2, `${moved} pixels`);
});

test('the window says why it cannot go on', { timeout }, async () => {
  const token = expired();
  await page.route(/\/token\?/, (route) =>
    route.fulfill({ contentType: 'application/jwt', body: token }),
  );
  await open(1, { source: 'archive', authUrl: `${example.url}token` });
  await page.waitForSelector('#beginning[data-code="40170"]');
});

test("Ably's SDK reads from another origin, and sees links and codes", { timeout }, async () => {
  await page.goto(example.url);
  const { hostname, port } = new URL(url);
  const asked = {
    room,
    host: { endpoint: hostname, port: Number(port), tls: false, logLevel: 0, autoConnect: false },
    key: keys.all,
    expired: expired(),
    address: `${url}${path(room)}`,
  };
  const found = await page.evaluate(async ({ room, host, key, expired, address }) => {
    const { Realtime } = await import('ably');
    const { ChatClient } = await import('@ably/chat');
    const messages = async (credentials) => {
      const client = new ChatClient(new Realtime({ ...host, ...credentials }));
      return (await client.rooms.get(room)).messages;
    };
    const codeOf = (ask) =>
      ask.then(
        () => 'none',
        ({ code }) => code,
      );
    const reader = await messages({ key, clientId: 'été' });
    let page = await reader.history({ limit: 1000 });
    const counts = [];
    for (; page; page = await page.next()) counts.push(page.items.length);
    const response = await fetch(address, { headers: { authorization: `Bearer ${expired}` } });
    return {
      counts,
      limit: await codeOf(reader.history({ limit: 0 })),
      secret: await codeOf((await messages({ key: `${key}?` })).history({})),
      literal: await codeOf((await messages({ token: expired })).history({})),
      header: response.headers.get('x-ably-errorcode'),
      missing: await codeOf(reader.get('none')),
    };
  }, asked);
  assert.deepEqual(found, {
    counts: [1000, 1000, 500],
    limit: 40003,
    secret: 40101,
    literal: 40171,
    header: '40142',
    missing: 40400,
  });
});
