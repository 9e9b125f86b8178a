//! What the program says by its exit status.

use std::process::ExitCode;

#[derive(Clone, Copy)]
pub(crate) enum Exit {
    /// Everything is there.
    Complete,
    /// Something is missing, different or altered, or nobody has ever seen a room.
    Gaps,
    /// Some rooms failed, or the program could not begin.
    Failed,
    /// It was stopped, and can be resumed.
    Stopped,
}

impl Exit {
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Gaps => 1,
            Self::Failed => 2,
            Self::Stopped => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}
