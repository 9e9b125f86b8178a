//! What this program and its commands were called before. The old names work, and are answered
//! with a sentence that gives the new one.

use std::ffi::OsString;
use std::path::Path;

const PROGRAM: (&str, &str) = ("ably-chat-backfill", "ably-chat-archive");
const COMMAND: (&str, &str) = ("run", "backfill");

/// Puts today's names into a command line. Returns what to tell a user of the old ones.
pub(crate) fn renew(mut args: Vec<OsString>) -> (Vec<OsString>, Option<String>) {
    let is_old_program = args
        .first()
        .is_some_and(|path| Path::new(path).file_stem().is_some_and(|it| it == PROGRAM.0));
    // No flag before the command takes a value.
    let is_word = |arg: &&OsString| !arg.as_encoded_bytes().starts_with(b"-") && *arg != "help";
    let first = args.iter().skip(1).find(is_word).filter(|arg| *arg == COMMAND.0);
    let command = first.and_then(|first| args.iter().position(|arg| std::ptr::eq(arg, first)));
    if is_old_program {
        args[0] = PROGRAM.1.into();
    }
    if let Some(command) = command {
        args[command] = COMMAND.1.into();
    }
    let notice = match (is_old_program, command) {
        (false, None) => None,
        (true, None) => Some(format!("`{}` is now called `{}`", PROGRAM.0, PROGRAM.1)),
        (false, Some(_)) => Some(format!("the command `{}` is now `{}`", COMMAND.0, COMMAND.1)),
        (true, Some(_)) => Some(format!(
            "`{} {}` is now called `{} {}`",
            PROGRAM.0, COMMAND.0, PROGRAM.1, COMMAND.1
        )),
    };
    (args, notice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewed(line: &str) -> (String, Option<String>) {
        let (args, notice) = renew(line.split(' ').map(OsString::from).collect());
        let args: Vec<_> = args.iter().map(|it| it.to_string_lossy()).collect();
        (args.join(" "), notice)
    }

    #[test]
    fn old_names_become_new_ones() {
        for (old, new) in [
            ("/bin/ably-chat-backfill verify", "ably-chat-archive verify"),
            (
                "ably-chat-backfill --json run --room r",
                "ably-chat-archive --json backfill --room r",
            ),
            ("ably-chat-archive run", "ably-chat-archive backfill"),
            ("ably-chat-archive help run", "ably-chat-archive help backfill"),
        ] {
            let (args, notice) = renewed(old);
            assert_eq!(args, new);
            assert!(notice.is_some_and(|it| it.contains("is now")));
        }
    }

    #[test]
    fn a_room_may_have_an_old_name() {
        for line in ["ably-chat-archive backfill --room run", "ably-chat-archive --help", ""] {
            assert_eq!(renewed(line), (line.to_owned(), None));
        }
    }
}
