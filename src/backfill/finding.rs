//! What is wrong with a message in the table.

use serde::Serialize;

use crate::chat::{ChatMessage, Serial};

/// What is wrong with one message in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The message.
    pub serial: Serial,
    /// The version.
    pub version: Serial,
    /// What is wrong.
    pub gap: Gap,
    /// In what two records differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<&'static str>,
}

/// How the table falls short of Ably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Gap {
    /// A version is not there, or not in every row that `VERSIONS` asks for.
    Missing,
    /// Only older versions are there.
    Older,
    /// The version is there, and another record of it is at Ably.
    Different,
    /// Other reactions are there, or none.
    Reactions,
}

impl Gap {
    /// The word that logs and `--json` have for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Older => "older",
            Self::Different => "different",
            Self::Reactions => "reactions",
        }
    }
}

impl Finding {
    pub(super) fn of(version: &ChatMessage, gap: Gap, members: Vec<&'static str>) -> Self {
        let (serial, version) = (version.serial.clone(), version.version.serial.clone());
        Self { serial, version, gap, members }
    }
}
