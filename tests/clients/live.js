// A stand-in for Ably: as much of its realtime protocol as a client needs to connect, attach and
// get messages, and Chat's history of the messages that it retains.

import { createServer } from 'node:http';
import { once } from 'node:events';
import { WebSocketServer } from 'ws';

/** Actions of the realtime protocol (features specification, "ProtocolMessage"). */
const HEARTBEAT = 0;
const CONNECTED = 4;
const CLOSE = 7;
const CLOSED = 8;
const ATTACH = 10;
const ATTACHED = 11;
const DETACH = 12;
const DETACHED = 13;
const MESSAGE = 15;

const ACTIONS = ['message.create', 'message.update', 'message.delete'];
const HISTORY = /^\/chat\/v4\/rooms\/([^/]+)\/messages$/;

export class Live {
  /** What is retained, oldest first, in the form of the Chat API, by room. */
  rooms = new Map();
  /** Messages on a page at most. */
  page = 100;
  /** The serial of what was sent last, if that is not retained. */
  last = '0';

  /** Starts one on a free port. */
  static async start() {
    const live = new Live();
    live.server = createServer((request, response) => live.#answer(request, response));
    live.sockets = new WebSocketServer({ server: live.server });
    live.sockets.on('connection', (socket) => live.#connect(socket));
    live.server.listen(0, '127.0.0.1');
    await once(live.server, 'listening');
    live.url = `http://127.0.0.1:${live.server.address().port}`;
    return live;
  }

  /** Has a room retain a message, and nobody told. */
  retain(room, message) {
    this.rooms.set(room, [...(this.rooms.get(room) ?? []), message]);
  }

  /** Tells those who are attached to a room of a version of a message. */
  publish(room, version) {
    const { text, metadata, headers, reactions, ...message } = version;
    this.#send(room, version.version.serial, {
      ...message,
      name: 'chat.message',
      action: ACTIONS.indexOf(version.action),
      data: JSON.stringify({ text, metadata }),
      encoding: 'json',
      extras: { headers },
    });
  }

  /** Tells them of the reactions to a message. */
  react(room, { serial, version }, summary) {
    const annotations = { summary };
    this.#send(room, version.serial, {
      name: 'chat.message',
      serial,
      version,
      action: 4,
      annotations,
    });
  }

  close() {
    for (const socket of this.sockets.clients) socket.terminate();
    this.sockets.close();
    this.server.closeAllConnections();
    this.server.close();
  }

  #send(room, serial, message) {
    const channel = `${room}::$chat`;
    const id = `m:${serial}`;
    const sent = { action: MESSAGE, channel, channelSerial: serialOfChannel(serial), id };
    for (const socket of this.sockets.clients) {
      if (!socket.attached.has(channel)) continue;
      const timestamp = Date.now();
      socket.send(
        JSON.stringify({ ...sent, timestamp, messages: [{ id: `${id}:0`, ...message }] }),
      );
    }
  }

  #connect(socket) {
    socket.attached = new Set();
    const say = (message) => socket.send(JSON.stringify(message));
    const connectionDetails = {
      connectionKey: 'k',
      connectionStateTtl: 120_000,
      maxIdleInterval: 0,
    };
    say({ action: CONNECTED, connectionId: 'c', connectionKey: 'k', connectionDetails });
    socket.on('message', (text) => {
      const { action, channel, id } = JSON.parse(text);
      if (action === HEARTBEAT) say({ action, id });
      if (action === ATTACH) {
        socket.attached.add(channel);
        const last = this.rooms.get(channel.replace(/::\$chat$/, ''))?.at(-1)?.serial ?? this.last;
        say({ action: ATTACHED, channel, channelSerial: serialOfChannel(last), flags: 0 });
      }
      if (action === DETACH) say({ action: DETACHED, channel });
      if (action === CLOSE) say({ action: CLOSED });
    });
  }

  #answer(request, response) {
    const { pathname, searchParams: asked } = new URL(request.url, this.url);
    response.setHeader('access-control-allow-origin', request.headers.origin ?? '*');
    response.setHeader('access-control-allow-credentials', 'true');
    response.setHeader('access-control-expose-headers', 'link, x-ably-errorcode');
    if (request.method === 'OPTIONS') {
      const headers = request.headers['access-control-request-headers'] ?? '';
      response.writeHead(204, { 'access-control-allow-headers': headers }).end();
      return;
    }
    const [, name] = HISTORY.exec(pathname) ?? [];
    const answer = (status, body, headers) =>
      response
        .writeHead(status, { 'content-type': 'application/json', ...headers })
        .end(JSON.stringify(body));
    if (request.method !== 'GET' || name === undefined) {
      const error = { code: 40400, statusCode: 404, message: 'no such path' };
      return answer(404, { error }, { 'x-ably-errorcode': '40400' });
    }
    const [before, bound] = [asked.get('cursor'), asked.get('fromSerial')];
    const isAsked = ({ serial }) =>
      (!before || serial < before) && (!bound || serial <= bound || serial.startsWith(`${bound}:`));
    const found = (this.rooms.get(decodeURIComponent(name)) ?? []).filter(isAsked).reverse();
    const items = found.slice(0, Math.min(this.page, Number(asked.get('limit') ?? 100)));
    const link = (rel, cursor) => {
      const query = new URLSearchParams(asked);
      if (cursor) query.set('cursor', cursor);
      else query.delete('cursor');
      query.set('limit', asked.get('limit') ?? '100');
      return `<./messages?${query}>; rel="${rel}"`;
    };
    const links = [link('first'), link('current', before)];
    if (items.length < found.length) links.push(link('next', items.at(-1).serial));
    return answer(200, items, { link: links });
  }
}

/** A channel's serial has no place within a message. */
function serialOfChannel(serial) {
  return serial.replace(/:\d+$/, '');
}
