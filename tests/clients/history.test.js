// A room as Ably's Chat SDK shows it: every field of every message, in both forms of the wire.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OrderBy } from '@ably/chat';
import { messagesOf, path, rest } from './sdk.js';
import { keys, messages, named, plain, room, shown } from './truth.js';

const timeout = 30_000;
const FORMS = [
  ['MessagePack', {}],
  ['JSON', { useBinaryProtocol: false }],
];
const oldestFirst = messages.map((message) => message.latest);
const newestFirst = [...oldestFirst].reverse();
const ORDERS = [
  [undefined, newestFirst],
  [OrderBy.NewestFirst, newestFirst],
  [OrderBy.OldestFirst, oldestFirst],
];

/** All items from a page on, and how many pages they were on. */
async function walk(page) {
  const items = [];
  let pages = 0;
  for (let at = page; at; at = at.hasNext() ? await at.next() : null) {
    assert.equal(at.isLast(), !at.hasNext());
    items.push(...at.items);
    pages += 1;
  }
  return [items, pages];
}

for (const [form, options] of FORMS) {
  for (const [orderBy, expected] of ORDERS) {
    test(`a room, ${orderBy ?? 'in no given order'}, as ${form}`, { timeout }, async () => {
      const reader = await messagesOf(room, { key: keys.all, ...options });
      for (const [limit, most] of [
        [100, 25],
        [1_000, 3],
      ]) {
        const [items, pages] = await walk(await reader.history({ limit, orderBy }));
        assert.deepEqual(items.map(shown), expected);
        assert.equal(pages, most);
      }
    });
  }

  test(`one message, its versions and who reacted, as ${form}`, { timeout }, async () => {
    const reader = await messagesOf(room, { key: keys.all, ...options });
    for (const { serial, latest, versions, reactions } of messages.slice(0, 45)) {
      assert.deepEqual(shown(await reader.get(serial)), latest);
      const [items] = await walk(await reader.getVersions(serial).catch(also(serial)));
      assert.deepEqual(items.map(shown), versions);
      for (const client of ['client 1', 'client 7', 'nobody']) {
        const found = plain(await reader.reactions.clientReactions(serial, client));
        assert.deepEqual(found, ofClient(reactions, client));
      }
    }
  });

  test(`rooms whose names a path would mix up, as ${form}`, { timeout }, async () => {
    for (const { room, message } of named) {
      const reader = await messagesOf(room, { key: keys.all, ...options });
      const page = await reader.history({ limit: 10 });
      assert.deepEqual(page.items.map(shown), [message.latest], room);
      assert.equal(page.hasNext(), false);
      assert.deepEqual(shown(await reader.get(message.serial)), message.latest, room);
    }
  });
}

/** Says of which message an error is. */
function also(serial) {
  return (error) => {
    throw new Error(`${serial}: ${error.message}`, { cause: error });
  };
}

/** Of all reactions those that a client has part in. */
function ofClient({ unique, distinct, multiple }, client) {
  const only = (names, isIn, cut) =>
    Object.fromEntries(
      Object.entries(names)
        .filter(([, it]) => isIn(it.clientIds))
        .map(([name, it]) => [name, { ...it, clientIds: cut(it.clientIds) }]),
    );
  const listed = (names) =>
    only(
      names,
      (ids) => ids.includes(client),
      () => [client],
    );
  const counted = (names) =>
    only(
      names,
      (ids) => client in ids,
      (ids) => ({ [client]: ids[client] }),
    );
  return { unique: listed(unique), distinct: listed(distinct), multiple: counted(multiple) };
}

test('first, current and next lead where they say', { timeout }, async () => {
  const reader = await messagesOf(room);
  const texts = (page) => page.items.map((message) => message.text);
  const first = await reader.history({ limit: 100 });
  const second = await first.next();
  const third = await second.next();
  assert.deepEqual(texts(await third.first()), texts(first));
  assert.deepEqual(texts(await third.current()), texts(third));
  assert.deepEqual(texts(await (await third.first()).next()), texts(second));
  assert.deepEqual(texts(await first.current()), texts(first));
});

test('times bound a room: start is in it, end is not', { timeout }, async () => {
  const reader = await messagesOf(room);
  const [start, end] = [messages[1_000], messages[1_250]].map((it) => it.latest.timestamp);
  for (const orderBy of [OrderBy.OldestFirst, OrderBy.NewestFirst]) {
    const [items] = await walk(await reader.history({ start, end, orderBy, limit: 100 }));
    if (orderBy === OrderBy.NewestFirst) items.reverse();
    assert.deepEqual(items.map(shown), oldestFirst.slice(1_000, 1_250));
  }
});

test('a room that nobody knows is empty', { timeout }, async () => {
  const page = await (await messagesOf('nobody knows')).history({});
  assert.deepEqual([page.items, page.hasNext(), page.isLast()], [[], false, true]);
});

test('a client is known by its key and its client id', { timeout }, async () => {
  const { serial, reactions } = messages[8];
  const reader = await messagesOf(room, { key: keys.all, clientId: 'client 1' });
  const found = plain(await reader.reactions.clientReactions(serial));
  assert.deepEqual(found, ofClient(reactions, 'client 1'));
});

for (const [form, options] of FORMS) {
  test(`Ably.Rest walks a room, as ${form}`, { timeout }, async () => {
    const client = rest({ key: keys.all, ...options });
    const page = await client.request('GET', path(room), 4, { limit: 500 });
    assert.deepEqual([page.statusCode, page.success], [200, true]);
    const [items, pages] = await walk(page);
    assert.deepEqual(plain(items), newestFirst);
    assert.equal(pages, 5);
    assert.ok(Math.abs((await client.time()) - Date.now()) < 60_000);
  });
}
