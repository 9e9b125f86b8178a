// Clients of Ably's SDKs that speak to the archive alone.

import { createHmac } from 'node:crypto';
import * as Ably from 'ably';
import { ChatClient } from '@ably/chat';
import { keys, url } from './truth.js';

const { hostname, port } = new URL(url);

/** Options by which a client of Ably's finds the archive. */
export const host = { endpoint: hostname, port: Number(port), tls: false, logLevel: 0 };

/** A Chat client that never connects; by default with the key that may read everything. */
export function chatClient(options = { key: keys.all }) {
  const realtime = new Ably.Realtime({ ...host, autoConnect: false, ...options });
  return new ChatClient(realtime, { logLevel: 'silent' });
}

/** The messages of a room, by such a client. */
export async function messagesOf(room, options) {
  return (await chatClient(options).rooms.get(room)).messages;
}

/** A client of Ably's REST API. */
export function rest(options = { key: keys.all }) {
  return new Ably.Rest({ ...host, ...options });
}

/** The path of a room's messages. */
export const path = (room) => `/chat/v4/rooms/${encodeURIComponent(room)}/messages`;

/** Now, in seconds. */
export const now = () => Math.floor(Date.now() / 1000);

let made = 0;

/** An Ably JWT, signed by a key; each is another. */
export function jwt({ key = keys.all, iat = now(), exp = iat + 3600, ...claims } = {}) {
  const separator = key.indexOf(':');
  const [kid, secret] = [key.slice(0, separator), key.slice(separator + 1)];
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = part({ typ: 'JWT', alg: 'HS256', kid });
  const text = `${header}.${part({ iat, exp, jti: String((made += 1)), ...claims })}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

/** One that has expired. */
export const expired = () => jwt({ iat: now() - 7200, exp: now() - 3600 });
