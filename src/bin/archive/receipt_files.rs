//! Receipts as files: kept elsewhere, they prove what a table held even if its own receipts change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ably_chat_exporter::backfill::Receipt;
use ably_chat_exporter::chat::RoomName;

use crate::Error;

/// Writes receipts into a directory, under names that say what they are of.
pub(crate) fn write(directory: &Path, receipts: &[Receipt]) -> Result<(), Error> {
    for receipt in receipts {
        let path = directory.join(name(receipt));
        let json = serde_json::to_string_pretty(receipt)?;
        std::fs::write(&path, json + "\n")
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn name(receipt: &Receipt) -> String {
    let room: String =
        receipt.room.0.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let digest: String = receipt.sha256.chars().take(8).collect();
    format!("receipt-{room}-{}-{}-{digest}.json", receipt.from, receipt.until)
}

/// Reads receipts, and returns them by room.
pub(crate) fn read(files: &[PathBuf]) -> Result<BTreeMap<RoomName, Vec<Receipt>>, Error> {
    let mut receipts: BTreeMap<RoomName, Vec<Receipt>> = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("--receipt {}: {error}", file.display()))?;
        let receipt: Receipt = serde_json::from_str(&text)
            .map_err(|error| format!("--receipt {}: no receipt: {error}", file.display()))?;
        receipts.entry(receipt.room.clone()).or_default().push(receipt);
    }
    Ok(receipts)
}
