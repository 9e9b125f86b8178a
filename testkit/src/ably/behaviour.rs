//! How the API behaves, and what becomes of single requests.

use std::collections::BTreeSet;
use std::time::Duration;

/// How the API behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Messages on a page at most.
    pub page: usize,
    /// Whether `end` belongs to the window: Ably's pages disagree.
    pub is_end_included: bool,
    /// Before each answer.
    pub latency: Duration,
    /// After each period of this many requests, the next are answered with these in turn.
    pub failures: Option<(u64, &'static [u16])>,
    /// One page in this many is empty, and has a `next`.
    pub empty_pages: Option<u64>,
    /// Whether all links are in one header.
    pub is_link_joined: bool,
    /// Whether `next` leads to the same page for ever.
    pub is_circular: bool,
    /// Whether pages come newest first, whatever was asked for.
    pub is_backwards: bool,
    /// Whether each page begins with the last message of the one before.
    pub repeats: bool,
    /// Whether the Chat API serves versions.
    pub serves_versions: bool,
    /// Serials of versions that lists of versions do not show yet.
    pub unlisted: BTreeSet<String>,
    /// A body and its content type, instead of every answer.
    pub instead: Option<(&'static str, &'static str)>,
    /// What is added to the time of answers, in seconds.
    pub skew: i64,
    /// In how many pieces a body comes, and how long before each.
    pub flow: Option<(usize, Duration)>,
    /// A body of more items than this stops in the middle, and never ends.
    pub chokes_above: Option<usize>,
    /// Whether a cursor is refused with another limit than that of its link.
    pub fixes_limits: bool,
    /// The first serial that history still holds: retention has ended for those before it.
    pub forgets_before: String,
    /// Whether `fromSerial` is left out of what it bounds.
    pub excludes_from_serial: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            page: 1_000,
            is_end_included: false,
            latency: Duration::ZERO,
            failures: None,
            empty_pages: None,
            is_link_joined: false,
            is_circular: false,
            is_backwards: false,
            repeats: false,
            serves_versions: true,
            unlisted: BTreeSet::new(),
            instead: None,
            skew: 0,
            flow: None,
            chokes_above: None,
            fixes_limits: false,
            forgets_before: String::new(),
            excludes_from_serial: false,
        }
    }
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug)]
pub enum Once {
    /// An error of Ably's: status and code.
    Error(u16, u32),
    /// A body and its content type.
    Odd(&'static str, &'static str),
    /// Half of the answer, then the connection ends.
    CutShort,
    /// No answer at all.
    Silence,
    /// An error of Ably's with a detail, which is JSON: status, code, detail.
    Detail(u16, u32, &'static str),
    /// Done as it was asked for, and then answered with an error: status and code.
    DoneAndError(u16, u32),
    /// Done as it was asked for, and then no answer.
    DoneAndSilence,
    /// Done as it was asked for, and answered after a while.
    DoneAndLate(Duration),
}
