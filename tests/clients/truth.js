// What was stored, as tests/history/clients.rs has left it, in the form in which it can be held
// against what an SDK shows.

import { readFileSync } from 'node:fs';

const stored = JSON.parse(readFileSync(process.env.CLIENTS_TRUTH, 'utf8'));

export const { url, keys, room } = stored;

/** A version of a message as the Chat API has it: what an SDK must show of it. */
const expected = (version, reactions) => ({ ...version, reactions });
const NONE = { unique: {}, distinct: {}, multiple: {} };

const message = ({ versions, reactions }) => ({
  /** The serial. */
  serial: versions[0].serial,
  /** The latest version, with the reactions. */
  latest: expected(versions.at(-1), reactions),
  /** All versions, oldest first. */
  versions: versions.map((version) => expected(version, NONE)),
  reactions,
});

/** The messages of the room, oldest first. */
export const messages = stored.messages.map(message);

/** One message each in rooms of odd names. */
export const named = stored.named.map((it) => ({ room: it.room, message: message(it.message) }));

/** A message of the Chat SDK in the form of the Chat API. */
export const shown = (message) =>
  plain({
    ...message,
    timestamp: message.timestamp.getTime(),
    version: { ...message.version, timestamp: message.version.timestamp.getTime() },
  });

/** Without members that are undefined, and without prototypes. */
export const plain = (value) => JSON.parse(JSON.stringify(value));
