/**
 * An archive of Ably Chat, read by Ably's own Chat SDK beside live messages.
 *
 * All REST calls of Chat go through `request` of its client (Chat spec CHA-RST1). Both functions
 * here take its place, before the `ChatClient` is made:
 *
 * - {@link archiveReader} reads all messages from the archive, and does everything else with Ably;
 * - {@link withArchive} reads history from Ably for as long as it has any, and what is older from
 *   the archive: what was sent a moment ago is there, even if the archive has not got it yet.
 *
 * Nothing else changes: `history`, `historyBeforeSubscribe`, `get`, `getVersions` and
 * `clientReactions` are those of the SDK.
 */

/** The messages of a room, or one of them and what belongs to it. */
const MESSAGES = /^\/chat\/v\d+\/rooms\/[^/]+\/messages(\/|$)/;
/** The messages of a room. */
const HISTORY = /^\/chat\/v\d+\/rooms\/[^/]+\/messages$/;
const LINK = /<\.\/\w+\?([^>]*)>;\s*rel="(\w+)"/g;

/**
 * A way to ask the archive. Each request, and so each page, asks for the authorization anew: one
 * may scroll for longer than a token lives. A token that has expired all the same fails the
 * request, and begins none of the SDK's renewals (which do not end, ably-js issue 2193).
 *
 * @param {typeof import('ably').Rest} Rest Ably's client.
 * @param {import('ably').ClientOptions} host Where the archive is: `{ endpoint: 'host.example' }`,
 *   with `port`, `tlsPort` and `tls` where they are not the usual ones.
 * @param {() => string | Promise<string>} authorization The header's value: see {@link bearer}.
 * @returns {typeof import('ably').Realtime.prototype.request} As the SDK's `request`.
 */
export function archiveAt(Rest, host, authorization) {
  const connect = () =>
    new Rest({
      ...host,
      // Given, so that the SDK asks nobody for a token; each request brings its own.
      tokenDetails: { token: 'unused' },
      authCallback: (_, done) => done('the token that was given for the archive has expired'),
    });
  let rest = connect();
  return async function ask(method, path, version, params, body, headers) {
    const authorized = { ...headers, authorization: await authorization() };
    const page = await rest
      .request(method, path, version, params, body, authorized)
      .catch((error) => {
        // After a token that has expired, it would take no other.
        rest = connect();
        throw error;
      });
    const links = linksOf(page);
    const follow = async (rel) =>
      links[rel] ? checked(await ask(method, path, version, links[rel], undefined, headers)) : null;
    return Object.assign(Object.create(page), {
      next: () => follow('next'),
      first: () => follow('first'),
      current: () => follow('current'),
    });
  };
}

/**
 * The authorization of the token that a client has now: a JWT that an Ably API key has signed.
 * While it is connected, Ably has it renewed in time.
 *
 * @param {import('ably').Realtime} realtime A client with `authUrl` or `authCallback`.
 */
export function bearer(realtime) {
  return async () => {
    const { token } = realtime.auth.tokenDetails ?? (await realtime.auth.authorize());
    return `Bearer ${token}`;
  };
}

/**
 * Has a client read messages from the archive, and do everything else with Ably.
 *
 * @param {import('ably').Realtime} realtime The client, before a `ChatClient` is made of it.
 * @param {ReturnType<typeof archiveAt>} archive The archive.
 */
export function archiveReader(realtime, archive) {
  const ably = realtime.request.bind(realtime);
  realtime.request = (method, path, ...rest) =>
    method === 'GET' && MESSAGES.test(path)
      ? archive(method, path, ...rest)
      : ably(method, path, ...rest);
}

/**
 * Has a client read history from Ably first, and from the archive where Ably has no more; and
 * single messages from the archive if Ably does not know them.
 *
 * It joins the two by the last serial that was shown, not by a time: retention goes on while
 * somebody scrolls. What the archive returns last may be an empty page. Oldest first there is no
 * telling where Ably begins: such a walk is Ably's alone.
 *
 * @param {import('ably').Realtime} realtime The client, before a `ChatClient` is made of it.
 * @param {ReturnType<typeof archiveAt>} archive The archive.
 */
export function withArchive(realtime, archive) {
  const ably = realtime.request.bind(realtime);
  realtime.request = async (method, path, version, params, body, headers) => {
    const page = await ably(method, path, version, params, body, headers);
    if (method !== 'GET' || !MESSAGES.test(path)) return page;
    if (!HISTORY.test(path)) {
      return page.statusCode === 404 ? archive(method, path, version, params, body, headers) : page;
    }
    if (!page.success || params?.direction === 'forwards') return page;
    return behind(page, async (last) => {
      const bound = last === undefined ? {} : { fromSerial: last };
      const older = await archive(method, path, version, { ...params, ...bound }, body, headers);
      // `fromSerial` is included.
      const items = checked(older).items.filter(({ serial }) => serial !== last);
      return Object.assign(Object.create(older), { items });
    });
  };
}

/** A page of Ably's, with what is older behind its last. */
function behind(page, older, lastBefore) {
  const last = page.items.at(-1)?.serial ?? lastBefore;
  return Object.assign(Object.create(page), {
    hasNext: () => true,
    isLast: () => false,
    next: async () =>
      page.hasNext() ? behind(checked(await page.next()), older, last) : older(last),
    first: async () => behind(checked(await page.first()), older),
    current: async () => behind(checked(await page.current()), older, lastBefore),
  });
}

/** The parameters of a page's links, by their relation. */
function linksOf({ headers = {} }) {
  const header = [headers.link ?? headers.Link ?? []].flat().join(', ');
  const params = (query) => Object.fromEntries(new URLSearchParams(query));
  return Object.fromEntries(
    [...header.matchAll(LINK)].map(([, query, rel]) => [rel, params(query)]),
  );
}

/** A page that is one: of later pages, Chat does not look whether they are errors. */
function checked(page) {
  if (page.success) return page;
  const { errorMessage, errorCode: code, statusCode } = page;
  throw Object.assign(new Error(errorMessage), { code, statusCode });
}
