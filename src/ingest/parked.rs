//! A parked record as it lies in the failure queue: its payload as it came, where it is from, and
//! why it is there. One that is too large for a message is packed, or cut into pieces.

use std::borrow::Cow;
use std::io::{Read, Write};

use base64::Engine;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::ably::BASE64;
use crate::ingest::delivery::Unreadable;

/// A parked record, as it lies in the failure queue.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parked<'a> {
    /// Where it is from, when it came, and why it is parked.
    #[serde(borrow)]
    pub(crate) parked: Provenance<'a>,
    /// The payload as it came, where it is text.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    /// The payload as it came, where it is not: base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// The payload as it came, where it would be too large otherwise: base64 of gzip. In several
    /// messages, each has a piece of that text.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    body_gzip: Option<Cow<'a, str>>,
    /// Which piece it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    piece: Option<Piece>,
}

/// One of several messages that hold one parked record.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
struct Piece {
    /// From 1.
    number: usize,
    /// How many there are.
    of: usize,
}

/// A piece of a parked record as it came back.
#[derive(Debug)]
pub(crate) struct Fragment {
    /// The record, when it was parked, and in how many pieces.
    pub(crate) whole: (String, i64, usize),
    /// Which piece it is, from 1.
    pub(crate) number: usize,
    text: String,
}

/// What a body is unpacked to at most: several times what any event source hands over.
const MAX_UNPACKED: u64 = 16 * 1_024 * 1_024;

/// Where a parked record is from, when it came, and why it is parked.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provenance<'a> {
    /// The event source's name.
    #[serde(borrow)]
    pub(crate) source: Cow<'a, str>,
    /// The event source's ARN, where it is known; the name of an Ably Queue.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) source_arn: Option<Cow<'a, str>>,
    /// What the event source repeats when it redelivers the record.
    #[serde(borrow)]
    pub(crate) record_id: Cow<'a, str>,
    /// When it arrived, in ms since the epoch.
    pub(crate) received_at: i64,
    /// When it was parked, in ms since the epoch.
    pub(crate) parked_at: i64,
    /// `NonRetryable`; `Retryable` where nobody would have sent it again.
    #[serde(borrow)]
    pub(crate) error_type: Cow<'a, str>,
    /// What is wrong, without any content.
    #[serde(borrow)]
    pub(crate) reason: Cow<'a, str>,
    /// The function's version that could not store it.
    #[serde(borrow)]
    pub(crate) function_version: Cow<'a, str>,
}

impl<'a> Parked<'a> {
    fn new(parked: &Provenance<'a>) -> Self {
        let parked = parked.clone();
        Self { parked, body: None, body_base64: None, body_gzip: None, piece: None }
    }

    /// The payload as it came.
    pub(super) fn payload(self) -> Result<Cow<'a, [u8]>, Unreadable> {
        match (self.body, self.body_base64, self.body_gzip) {
            (_, _, Some(_)) if let Some(Piece { number, of }) = self.piece => {
                Err(Unreadable(format!(
                    "piece {number} of {of} of a record; the others were not in the same batch"
                )))
            }
            (Some(Cow::Borrowed(text)), ..) => Ok(Cow::Borrowed(text.as_bytes())),
            (Some(Cow::Owned(text)), ..) => Ok(Cow::Owned(text.into_bytes())),
            (None, Some(text), _) => match BASE64.decode(text) {
                Ok(bytes) => Ok(Cow::Owned(bytes)),
                Err(_) => Err("bodyBase64: not base64".into()),
            },
            (None, None, Some(text)) => gunzip(&text).map(Cow::Owned),
            (None, None, None) => Err("the parked record has no body".into()),
        }
    }

    /// The messages that keep `body`: JSON made into what the queue takes by `finish`, of
    /// `most_bytes` each at most. One where that does, which is nearly always.
    pub(crate) fn messages(
        parked: &Provenance<'a>,
        body: &'a [u8],
        most_bytes: usize,
        finish: impl Fn(String) -> String,
    ) -> Vec<String> {
        let json = |parked: &Parked<'_>| {
            finish(serde_json::to_string(parked).expect("a parked record has string keys"))
        };
        let mut plain = Self::new(parked);
        match str::from_utf8(body) {
            Ok(text) => plain.body = Some(text.into()),
            Err(_) => plain.body_base64 = Some(BASE64.encode(body)),
        }
        let plain = json(&plain);
        if plain.len() <= most_bytes {
            return vec![plain];
        }
        let packed = BASE64.encode(gzip(body));
        let message = |text: &str, piece| {
            json(&Parked { body_gzip: Some(text.into()), piece, ..Parked::new(parked) })
        };
        let around = message("", Some(Piece { number: packed.len(), of: packed.len() }));
        let room = most_bytes.saturating_sub(around.len()).max(1);
        let of = packed.len().div_ceil(room);
        let pieces = (1..=of).map(|number| {
            let (start, end) = ((number - 1) * room, packed.len().min(number * room));
            let text = packed.get(start..end).unwrap_or_default();
            message(text, (of > 1).then_some(Piece { number, of }))
        });
        pieces.collect()
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).expect("writing to a Vec cannot fail");
    encoder.finish().expect("writing to a Vec cannot fail")
}

/// Reads one of the pieces of a parked record; `None` if `json` is no such thing.
pub(crate) fn fragment(json: &str) -> Option<Fragment> {
    let Parked { parked, body_gzip, piece, .. } = serde_json::from_str(json).ok()?;
    let Piece { number, of } = piece?;
    let whole = (parked.record_id.into_owned(), parked.parked_at, of);
    Some(Fragment { whole, number, text: body_gzip?.into_owned() })
}

/// Puts pieces together, all of them and in their order.
pub(crate) fn join<'a>(pieces: impl Iterator<Item = &'a Fragment>) -> Result<Vec<u8>, Unreadable> {
    gunzip(&pieces.map(|piece| piece.text.as_str()).collect::<String>())
}

fn gunzip(text: &str) -> Result<Vec<u8>, Unreadable> {
    let packed = BASE64.decode(text).map_err(|_| Unreadable::from("bodyGzip: not base64"))?;
    let mut body = Vec::new();
    let mut unpacked = GzDecoder::new(packed.as_slice()).take(MAX_UNPACKED);
    match unpacked.read_to_end(&mut body) {
        Ok(_) if unpacked.limit() == 0 => Err("bodyGzip: too large".into()),
        Ok(_) => Ok(body),
        Err(_) => Err("bodyGzip: not gzip".into()),
    }
}
