// A room: live messages from Ably, and everything before them from Ably and the archive, for as
// long as one scrolls up. README.md says what the address holds.

import { Realtime, Rest } from 'ably';
import { ChatClient } from '@ably/chat';
import { archiveAt, archiveReader, bearer, withArchive } from './archive.js';

/** Messages on a page. */
const LIMIT = 100;
/** How near the upper edge, in pixels, the next page is asked for. */
const NEAR = 600;

const settings = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const pane = document.querySelector('#window');
const list = document.querySelector('#messages');
const beginning = document.querySelector('#beginning');

/** The options by which a client of Ably's finds a host. */
function hostOf(address) {
  if (!address) return {};
  const { hostname, port, protocol } = new URL(address);
  const tls = protocol === 'https:';
  return { endpoint: hostname, tls, ...(port && { [tls ? 'tlsPort' : 'port']: Number(port) }) };
}

/** The messages that are shown, by serial: each in its latest version. */
const shown = new Map();
/** Later versions of messages that nobody has scrolled up to yet. */
const unseen = new Map();

function element({ serial, clientId, timestamp, text, action, version, reactions }) {
  const item = document.createElement('li');
  Object.assign(item.dataset, { serial, action, version: version.serial });
  const add = (name, content, className = '') => {
    const part = Object.assign(document.createElement(name), { className, textContent: content });
    item.append(part, ' ');
    return part;
  };
  const time = timestamp.toISOString();
  add('time', time.slice(0, 16).replace('T', ' ')).dateTime = time;
  add('b', clientId);
  add('span', action === 'message.delete' ? 'deleted' : text, 'text');
  if (action === 'message.update') add('small', 'edited');
  const kinds = Object.values(reactions).flatMap((names) => Object.entries(names));
  if (kinds.length > 0) {
    add('small', kinds.map(([name, { total }]) => `${name} ${total}`).join('  '), 'reactions');
  }
  return item;
}

/** Shows a message, where its serial puts it, unless a later version of it is there. */
function show(message) {
  const before = shown.get(message.serial);
  const late = unseen.get(message.serial);
  unseen.delete(message.serial);
  const latest = before ? before.message.with(message) : late ? message.with(late) : message;
  if (latest === before?.message) return;
  const item = element(latest);
  shown.set(message.serial, { message: latest, item });
  if (before) return before.item.replaceWith(item);
  // Nearly always above the first or below the last.
  let next = list.firstElementChild;
  if (list.lastElementChild?.dataset.serial < message.serial) next = null;
  while (next && next.dataset.serial < message.serial) next = next.nextElementSibling;
  list.insertBefore(item, next);
}

/** Changes what is shown, and leaves what somebody reads where it is; or the newest, if they do. */
function changing(change) {
  const fromBottom = pane.scrollHeight - pane.scrollTop;
  const wasAtBottom = fromBottom - pane.clientHeight < 5;
  const first = list.firstElementChild;
  change();
  if (wasAtBottom) pane.scrollTop = pane.scrollHeight;
  else if (first !== list.firstElementChild) pane.scrollTop = pane.scrollHeight - fromBottom;
}

function failed(error) {
  beginning.textContent = `${error.message} (${error.code ?? 'no code'})`;
  beginning.dataset.code = error.code ?? '';
}

/** Shows page after page, each when somebody has scrolled up to it. */
async function scrollBack(page) {
  for (let at = page; at; at = await at.next()) {
    const { items } = at;
    changing(() => items.forEach(show));
    if (!at.hasNext()) break;
    await upperEdge();
  }
  beginning.textContent = 'This is where the room begins.';
  beginning.dataset.end = '';
}

/** Waits until the upper edge is near. */
function upperEdge() {
  return new Promise((resolve) => {
    const look = () => {
      if (pane.scrollTop > NEAR) return;
      pane.removeEventListener('scroll', look);
      resolve();
    };
    pane.addEventListener('scroll', look);
    look();
  });
}

/** Shows what has just happened, or keeps it for when somebody has scrolled up to it. */
function receive(message) {
  const oldest = list.firstElementChild?.dataset.serial;
  const isAbove = message.serial < oldest && message.action !== 'message.create';
  if (!isAbove) return show(message);
  const before = unseen.get(message.serial);
  unseen.set(message.serial, before ? before.with(message) : message);
}

/** A reaction changes what is shown of a message. */
function react(event) {
  const before = shown.get(event.messageSerial);
  if (!before) return;
  const message = before.message.with(event);
  const item = element(message);
  shown.set(event.messageSerial, { message, item });
  before.item.replaceWith(item);
}

async function start({ room: name, archive, live, key, authUrl, source }) {
  const realtime = new Realtime({ ...hostOf(live), ...(key ? { key } : { authUrl }) });
  const authorization = key ? () => `Basic ${btoa(key)}` : bearer(realtime);
  const read = source === 'archive' ? archiveReader : withArchive;
  read(realtime, archiveAt(Rest, hostOf(archive), authorization));

  const room = await new ChatClient(realtime).rooms.get(name);
  const { historyBeforeSubscribe } = room.messages.subscribe(({ message }) =>
    changing(() => receive(message)),
  );
  room.messages.reactions.subscribe((event) => changing(() => react(event)));
  await room.attach();
  await scrollBack(await historyBeforeSubscribe({ limit: LIMIT }));
}

start(settings).catch(failed);
