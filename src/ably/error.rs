//! Why a payload or one of its messages cannot be stored, in words that say what to change. None
//! of them quotes a payload's content.

use crate::ably::json::Mistyped;

/// Nothing in the payload can be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PayloadError {
    /// The body is not JSON at all.
    #[error("the event is not JSON: {0}")]
    NotJson(String),
    /// The body begins as MessagePack, and is not.
    #[error("the event is not MessagePack as Ably writes it: {0}")]
    NotMessagePack(&'static str),
    /// The body begins as gzip does.
    #[error("the event is compressed with gzip, which Ably does not do; deliver it as it comes")]
    Compressed,
    /// The body is JSON, and not an object.
    #[error(
        "$: expected an enveloped Ably event (a JSON object), found {0}; turn on \"Enveloped\" and \
         set \"Encoding\" to JSON in the Ably integration rule"
    )]
    NotAnObject(&'static str),
    /// An object without an array of events: a message's bare `data`, most likely.
    #[error(
        "$.messages: missing, so this is not an enveloped Ably event; turn on \"Enveloped\" in the \
         Ably integration rule"
    )]
    NotEnveloped,
    /// A moderation rule asks whether to publish; nothing has been published.
    #[error(
        "$.message: this is a before-publish (moderation) event, of which nothing is published \
         yet; point an \"AWS Lambda\" integration rule with event type channel.message at this \
         function, not a before-publish rule"
    )]
    BeforePublish,
    /// A field of the envelope has the wrong type.
    #[error("{0}")]
    Mistyped(#[from] Mistyped),
    /// The envelope comes from another Ably app.
    #[error(
        "$.appId: the event comes from the Ably app {found:?} and this table is for {expected:?} \
         (ABLY_APP_ID)"
    )]
    WrongApp {
        /// The app the event names.
        found: String,
        /// The app the table is for.
        expected: String,
    },
}

impl PayloadError {
    /// Whether the integration rule is wrong, rather than this one payload: nothing that it sends
    /// could be stored.
    #[must_use]
    pub fn is_wrong_rule(&self) -> bool {
        match self {
            Self::NotAnObject(_)
            | Self::NotEnveloped
            | Self::BeforePublish
            | Self::WrongApp { .. } => true,
            Self::NotJson(_) | Self::NotMessagePack(_) | Self::Compressed | Self::Mistyped(_) => {
                false
            }
        }
    }
}

/// One message cannot be stored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MessageError {
    /// A field has the wrong type.
    #[error("{0}")]
    Mistyped(#[from] Mistyped),
    /// Without a serial there is nothing to store it under.
    #[error("{0}.serial: missing")]
    NoSerial(String),
    /// Ably appends fragments to messages (action 5); a fragment is not a version.
    #[error(
        "{0}.action: message.append carries only the added fragment, which is not a version; the \
         message has to be fetched from Ably's REST API"
    )]
    Append(String),
    /// An action nobody has heard of.
    #[error("{0}.action: unknown action {1}")]
    UnknownAction(String, String),
    /// The channel is `::$chat` alone.
    #[error("{0}: the room name is empty")]
    EmptyRoom(String),
}
