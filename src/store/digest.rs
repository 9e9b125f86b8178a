//! Digests of versions, for receipts and for notes on rows.

use sha2::{Digest, Sha256};

use crate::chat::{ChatMessage, Data};

/// A version's line in a digest: `["<serial>","<version.serial>","<SHA-256 of its content>"]` and a
/// newline.
#[must_use]
pub fn version_line(message: &ChatMessage) -> String {
    let mut content = Sha256::new();
    content.update(json(message));
    if let Some(raw) = &message.raw {
        content.update(raw.encoding.as_deref().unwrap_or_default());
        content.update(match &raw.data {
            Data::Text(text) => text.as_bytes(),
            Data::Bytes(bytes) => bytes,
        });
    }
    let (serial, version) = (message.serial.as_str(), message.version.serial.as_str());
    json(&[serial, version, hex(&content.finalize()).as_str()]) + "\n"
}

/// A digest of versions: SHA-256 over their lines, in the order of their serials.
#[derive(Clone, Debug, Default)]
pub struct VersionsDigest {
    lines: Sha256,
    count: u64,
}

impl VersionsDigest {
    /// Takes a version's line.
    pub fn add(&mut self, line: &str) {
        self.lines.update(line);
        self.count += 1;
    }

    /// The number of versions, and their digest as hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> (u64, String) {
        (self.count, hex(&self.lines.finalize()))
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("chat values have string keys")
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
