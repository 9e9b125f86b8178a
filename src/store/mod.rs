//! The table: which rows a chat event leaves, the conditions that make them converge, and how they
//! are read back. Nobody else knows keys and attributes.
//!
//! | row | `pk` | `sk` | put only if |
//! |---|---|---|---|
//! | a message's latest version | room name | `message#<serial>` | none there, or an older one |
//! | one version of it | room name | `version#<serial>#<version.serial>` | none there |
//! | its reactions | room name | `reactions#<serial>` | none there, or not a newer one |
//! | reaction snapshot | room name | `snapshot#<serial>#<delivery id>` | none there |
//! | a client's reaction | room name | `reaction#<serial>#<annotation serial>` | none there |
//! | receipt, checkpoint, state | room name | `receipt#…`, `checkpoint#…`, `state#…` | always |
//! | a room was seen on a day | `rooms#<day>#<shard>` | `room#<room name>` | seen later |

mod anonymous;
mod attribute;
mod check;
mod condition;
mod differences;
mod digest;
mod document;
mod error;
mod fast_path;
mod insert;
mod item;
mod key;
mod left;
mod messages;
mod observation;
mod pace;
mod page;
mod plan;
mod put;
mod query;
mod range;
mod reactions;
mod read_item;
mod room_index;
mod rooms;
mod settings;
mod statement;
mod table;
mod write;

pub use check::TableError;
pub use condition::Condition;
pub use differences::differences;
pub use digest::{VersionsDigest, hex, version_line};
pub use document::{Document, UnreadableDocument};
pub use error::{StoreError, Unstorable};
pub use key::Key;
pub use messages::Start;
pub use observation::Observation;
pub use pace::Health;
pub use page::{Page, PageRequest, StoredMessage, VersionPage};
pub use plan::Rows;
pub use put::Put;
pub use query::Direction;
pub use range::{Archived, ArchivedMessages, VersionRow};
pub use read_item::ReactionsRow;
pub use room_index::RoomIndex;
pub use settings::{BulkInserts, KeepReactions, KeepVersions, ReactionClients, Settings};
pub use table::{Store, Written};
