// The two functions of examples/chat-window, by which one client reads the archive and lives with
// Ably.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import * as Ably from 'ably';
import { ChatClient, OrderBy } from '@ably/chat';
import {
  archiveAt,
  archiveReader,
  bearer,
  withArchive,
} from '../../examples/chat-window/archive.js';
import { Live } from './live.js';
import { expired, host, jwt } from './sdk.js';
import { keys, messages, plain, room, shown } from './truth.js';

const timeout = 30_000;
const newestFirst = messages.map(({ latest }) => latest).reverse();
let live;

before(async () => (live = await Live.start()));
after(() => live.close());
beforeEach(() => live.rooms.clear());

/** A client of Ably's stand-in that also reads the archive, and the room's messages by it. */
async function reader(read, authorization = () => `Bearer ${jwt()}`, useBinaryProtocol = true) {
  const { hostname, port } = new URL(live.url);
  const realtime = new Ably.Realtime({
    endpoint: hostname,
    port: Number(port),
    tls: false,
    key: keys.all,
    logLevel: 0,
    autoConnect: false,
    useBinaryProtocol: false,
  });
  read(realtime, archiveAt(Ably.Rest, { ...host, useBinaryProtocol }, authorization));
  return (await new ChatClient(realtime, { logLevel: 'silent' }).rooms.get(room)).messages;
}

/** Has Ably retain so many of the room's messages. */
function retain(count) {
  live.rooms.clear();
  messages.slice(messages.length - count).forEach(({ latest }) => live.retain(room, latest));
}

/** All items from a page on; before each next page, something may happen. */
async function walk(page, meanwhile = () => {}) {
  const items = [];
  for (let at = page; at; at = at.hasNext() ? await at.next() : null) {
    items.push(...at.items.map(shown));
    meanwhile(items.length);
  }
  return items;
}

for (const useBinaryProtocol of [true, false]) {
  const form = useBinaryProtocol ? 'MessagePack' : 'JSON';
  test(`all reads go to the archive, as ${form}`, { timeout }, async () => {
    const found = await reader(archiveReader, undefined, useBinaryProtocol);
    assert.deepEqual(await walk(await found.history({ limit: 400 })), newestFirst);
    const { serial, latest, versions } = messages[16];
    assert.deepEqual(shown(await found.get(serial)), latest);
    assert.deepEqual(await walk(await found.getVersions(serial)), versions);
  });
}

for (const retained of [0, 1, 99, 100, 101, 1_050, 2_500]) {
  test(`Ably first, which retains ${retained}, then the archive`, { timeout }, async () => {
    retain(retained);
    const found = await reader(withArchive);
    const page = await found.history({ limit: 1_000 });
    assert.equal(page.items.length, Math.min(retained, live.page));
    assert.deepEqual(await walk(page), newestFirst);
  });
}

test('Ably may forget while somebody scrolls', { timeout }, async () => {
  retain(1_000);
  const found = await reader(withArchive);
  const forget = (seen) => retain(Math.max(0, 1_000 - 2 * seen));
  assert.deepEqual(await walk(await found.history({ limit: 100 }), forget), newestFirst);
});

test('what Ably alone has is there', { timeout }, async () => {
  retain(10);
  const [serial, text] = ['09999999999999-000@aBcDeFgHi12345678:000', 'not archived yet'];
  const version = { serial, timestamp: Date.now() };
  live.retain(room, { ...newestFirst[0], serial, version, text });
  const [first, ...others] = await walk(await (await reader(withArchive)).history({ limit: 500 }));
  assert.equal(first.text, text);
  assert.deepEqual(others, newestFirst);
});

test('bounds are for both', { timeout }, async () => {
  retain(100);
  const [start, end] = [messages[2_200], messages[2_450]].map((it) => it.latest.timestamp);
  const page = await (await reader(withArchive)).history({ start, limit: 100 });
  assert.deepEqual(await walk(page), newestFirst.slice(0, 300));
  const older = await (await reader(archiveReader)).history({ start, end, limit: 100 });
  assert.deepEqual(await walk(older), newestFirst.slice(50, 300));
});

test('first and current lead back to Ably, and on', { timeout }, async () => {
  retain(150);
  const first = await (await reader(withArchive)).history({ limit: 100 });
  const second = await first.next();
  const third = await second.next();
  const serials = ({ items }) => items.map(({ serial }) => serial);
  assert.deepEqual(
    [...serials(first), ...serials(second), ...serials(third)],
    newestFirst.slice(0, 249).map(({ serial }) => serial),
  );
  assert.deepEqual(serials(await second.first()), serials(first));
  assert.deepEqual(serials(await (await second.current()).next()), serials(third));
  const again = await third.current();
  assert.ok(serials(again).includes(third.items[0].serial));
});

test('a single message is the archive’s if Ably does not know it', { timeout }, async () => {
  const found = await reader(withArchive);
  const { serial, latest, versions, reactions } = messages[8];
  assert.deepEqual(shown(await found.get(serial)), latest);
  assert.deepEqual(await walk(await found.getVersions(serial)), versions);
  const own = plain(await found.reactions.clientReactions(serial, 'client 0'));
  assert.deepEqual(own.unique, reactions.unique);
});

test('everything else is Ably’s', { timeout }, async () => {
  retain(7);
  for (const read of [archiveReader, withArchive]) {
    const found = await reader(read);
    await assert.rejects(found.send({ text: 'hello' }), { code: 40400, message: 'no such path' });
  }
  const forwards = await (await reader(withArchive)).history({ orderBy: OrderBy.OldestFirst });
  assert.equal(forwards.hasNext(), false);
  assert.equal(forwards.items.length, 7);
});

for (const read of [archiveReader, withArchive]) {
  test(`each page has a token of its own: ${read.name}`, { timeout }, async () => {
    const tokens = [jwt(), expired(), jwt({ key: 'app.key:guess' }), jwt()];
    const found = await reader(read, () => `Bearer ${tokens.shift()}`);
    let page = await found.history({ limit: 100 });
    if (read === withArchive) page = await page.next();
    await assert.rejects(page.next(), { code: 40170, statusCode: 401 });
    await assert.rejects(page.next(), { code: 40101, statusCode: 401 });
    const { items } = await page.next();
    assert.deepEqual(items.map(shown), newestFirst.slice(100, 200));
    assert.deepEqual(tokens, []);
  });
}

test('the token is the one that the client has', { timeout }, async () => {
  const token = jwt();
  const realtime = new Ably.Realtime({
    ...host,
    autoConnect: false,
    authCallback: (_, done) => done(null, token),
  });
  realtime.auth.authorize = async () => ({ token });
  assert.equal(await bearer(realtime)(), `Bearer ${token}`);
});
