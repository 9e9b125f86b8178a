// Who may read, and what an SDK makes of a refusal. No token may have it ask for ever.

import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import { test } from 'node:test';
import { chatClient, expired, jwt, messagesOf, now, path, rest } from './sdk.js';
import { keys, messages, plain, room, shown, url } from './truth.js';

const timeout = 30_000;

let requests = 0;
subscribe('http.client.request.start', () => (requests += 1));

/** What a promise fails with, as Ably's SDKs tell it, and how many requests that took. */
async function failure(promise) {
  const before = requests;
  try {
    await promise;
  } catch (error) {
    return { code: error.code, status: error.statusCode, requests: requests - before };
  }
  return assert.fail('it did not fail');
}

/** What reading a room with such credentials fails with. */
async function refusal(options, params = {}, name = room) {
  const reader = await messagesOf(name, options);
  return failure(reader.history(params));
}

const newest = { limit: 1 };
const [last] = messages.slice(-1);

/** Reads the newest message. */
async function read(client, name = room) {
  const { messages } = await client.rooms.get(name);
  const { items } = await messages.history(newest);
  return items.map(shown);
}

for (const useBinaryProtocol of [true, false]) {
  const form = useBinaryProtocol ? 'MessagePack' : 'JSON';

  test(`errors have Ably's codes, asked for ${form}`, { timeout }, async () => {
    const by = (key) => ({ key, useBinaryProtocol });
    const refused = async (...ask) => {
      const { code, status, requests } = await refusal(...ask);
      assert.equal(requests, 1, 'nothing is asked twice');
      return [code, status];
    };
    for (const limit of [0, 1_001, -1, 'x']) {
      assert.deepEqual(await refused(by(keys.all), { limit }), [40003, 400]);
    }
    assert.deepEqual(await refused(by(keys.all), { start: 'yesterday' }), [40003, 400]);
    assert.deepEqual(await refused(by(keys.some), newest, 'sales:1'), [40160, 401]);
    assert.deepEqual(await refused(by(`${keys.all}?`)), [40101, 401]);
    assert.deepEqual(await refused(by('app.none:s3cret')), [40130, 401]);
    assert.deepEqual(await refused(by(keys.all), newest, 'r'.repeat(2_049)), [40010, 400]);
    const reader = await messagesOf(room, by(keys.all));
    for (const ask of ['get', 'getVersions']) {
      const { code, status } = await failure(reader[ask]('none'));
      assert.deepEqual([code, status], [40400, 404]);
    }
    const { code, status } = await failure(reader.send({ text: 'hello' }));
    assert.deepEqual([code, status], [40500, 405]);
  });

  test(`Ably.Rest shows an error, asked for ${form}`, { timeout }, async () => {
    const page = await rest({ key: keys.all, useBinaryProtocol }).request('GET', path(room), 4, {
      limit: 0,
    });
    assert.deepEqual([page.statusCode, page.success, page.errorCode], [400, false, 40003]);
    assert.match(page.errorMessage, /limit/);
  });
}

test('a JWT reads what it and its key allow', { timeout }, async () => {
  const capability = JSON.stringify({ 'support:*': ['history'], sales: ['publish'] });
  for (const claims of [{}, { 'x-ably-capability': capability }, { key: keys.some }]) {
    assert.deepEqual(await read(chatClient({ token: jwt(claims) })), [last.latest]);
  }
  const denied = async (claims, name) => {
    const { code, status, requests } = await refusal({ token: jwt(claims) }, newest, name);
    return [code, status, requests];
  };
  assert.deepEqual(await denied({ 'x-ably-capability': capability }, 'sales'), [40160, 401, 1]);
  assert.deepEqual(await denied({ key: keys.some }, 'sales'), [40160, 401, 1]);
  assert.deepEqual(await denied({ key: 'app.key:guess' }, room), [40101, 401, 1]);
});

test('a JWT says which client reads', { timeout }, async () => {
  const { serial, reactions } = messages[8];
  const reader = await messagesOf(room, { token: jwt({ 'x-ably-clientId': 'client 2' }) });
  const found = plain(await reader.reactions.clientReactions(serial));
  const own = { ...reactions.distinct['👍'], clientIds: ['client 2'] };
  assert.deepEqual(found, { unique: {}, distinct: { '👍': own }, multiple: {} });
});

test('an expired token says so', { timeout }, async () => {
  const response = await fetch(`${url}${path(room)}`, {
    headers: { authorization: `Bearer ${expired()}` },
  });
  const { error } = await response.json();
  assert.deepEqual([response.status, error.code], [401, 40142]);
  assert.equal(response.headers.get('x-ably-errorcode'), '40142');
});

test('an expired token that cannot be renewed ends at once', { timeout }, async () => {
  const token = expired();
  assert.deepEqual(await refusal({ token }), { code: 40171, status: 403, requests: 1 });
  const { code, requests } = await failure(rest({ token }).request('GET', path(room), 4));
  assert.deepEqual([code, requests], [40171, 1]);
});

test('a header given for one request begins no renewal', { timeout }, async () => {
  const client = rest({
    tokenDetails: { token: 'unused' },
    authCallback: (_, done) => done('expired'),
  });
  const ask = (token) =>
    client.request('GET', path(room), 4, newest, null, { authorization: `Bearer ${token}` });
  assert.equal((await ask(jwt())).items[0].serial, last.serial);
  const { code, status, requests } = await failure(ask(expired()));
  assert.deepEqual([code, status, requests], [40170, 401, 1]);
});

// ably-js repeats a request with the token that was refused, whatever authCallback has brought
// since (its issue 2193), without end: the archive ends it.
test('a token refused again and again is refused in another way', { timeout }, async () => {
  const token = expired();
  let renewals = 0;
  const client = rest({ authCallback: (_, done) => done(null, (renewals += 1) && token) });
  const ask = () => client.request('GET', path(room), 4, newest).then(orThrow);
  assert.deepEqual(await failure(ask()), { code: 42910, status: 429, requests: 11 });
  assert.equal(renewals, 11);
  assert.deepEqual(await failure(ask()), { code: 42910, status: 429, requests: 1 });
});

test('what was renewed is good for the next request', { timeout }, async () => {
  const tokens = [expired()];
  const client = rest({ authCallback: (_, done) => done(null, tokens.shift() ?? jwt()) });
  const ask = () => client.request('GET', path(room), 4, newest).then(orThrow);
  assert.equal((await failure(ask())).code, 42910, 'if not, ably-js issue 2193 is mended');
  assert.equal((await ask()).items[0].serial, last.serial);
});

test('a client that knows when its token ends renews it before it asks', { timeout }, async () => {
  const [first, second] = [expired(), jwt()];
  const details = [
    { token: first, expires: (now() - 3600) * 1000, issued: (now() - 7200) * 1000 },
    { token: second, expires: (now() + 3600) * 1000, issued: now() * 1000 },
  ];
  const client = rest({ authCallback: (_, done) => done(null, details.shift()) });
  await client.time();
  await client.auth.authorize();
  assert.equal(client.auth.tokenDetails.token, first);
  const page = await client.request('GET', path(room), 4, newest).then(orThrow);
  assert.deepEqual([page.items[0].serial, details.length], [last.serial, 0]);
});

/** `Ably.Rest` answers what Chat throws. */
function orThrow(page) {
  if (page.success) return page;
  throw Object.assign(new Error(page.errorMessage), {
    code: page.errorCode,
    statusCode: page.statusCode,
  });
}
