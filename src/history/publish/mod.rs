//! Publishing through this program: what comes is checked by rules and a hook, where there are any,
//! forwarded to Ably with its sender's own credentials, and stored as published before the answer
//! goes back (Ably docs, "Publishing via your own servers").
//!
//! | file | does |
//! |---|---|
//! | `publisher`, `request` | what publishes, and one request on its way |
//! | `prepare` | whether a request may go to Ably |
//! | `target` | where it goes there |
//! | `caller` | of which Ably app the sender's credentials are |
//! | `body`, `rules`, `hook`, `verdict` | whether a content may be published, or which instead |
//! | `send` | asks Ably, and says what came of it |
//! | `keep`, `doubt` | stores what was published; has the others looked for |
//! | `published` | what goes back |

mod body;
mod caller;
mod doubt;
mod hook;
mod keep;
mod prepare;
mod published;
mod publisher;
mod request;
mod rules;
mod send;
mod target;
mod verdict;

pub use doubt::Reconcile;
pub use hook::{Hook, HookAddress};
pub use published::{ARCHIVE, Archive, Published};
pub use publisher::Publish;
pub use request::{Call, Operation};
pub use rules::Rules;
