// examples/chat-window without Ably: a stand-in for it, in which somebody talks, and the page.
//   node demo.js [ADDRESS of `ably-chat-archive serve`] [ROOM]

import { Live } from './live.js';
import { serveExample } from './example.js';

const [archive = 'http://127.0.0.1:8080', room = 'support:42'] = process.argv.slice(2);
const live = await Live.start();
const example = await serveExample();
const settings = {
  room,
  archive,
  live: live.url,
  key: process.env.HISTORY_KEYS ?? 'app.key:s3cret',
};
console.log(`${example.url}#${new URLSearchParams(settings)}`);

let said = 0;
const say = () => {
  const timestamp = Date.now();
  const serial = `${String(timestamp).padStart(14, '0')}-000@stand-in:000`;
  const message = {
    serial,
    clientId: 'stand-in',
    action: 'message.create',
    text: `message ${(said += 1)}`,
    metadata: {},
    headers: {},
    timestamp,
    version: { serial, timestamp },
    reactions: { unique: {}, distinct: {}, multiple: {} },
  };
  live.retain(room, message);
  live.publish(room, message);
};
say();
setInterval(say, 3_000);
