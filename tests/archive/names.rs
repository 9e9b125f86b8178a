//! What the program is called: today, before, in shells and in the manual.

use serde_json::json;
use testkit::{Ably, Engine};

use crate::common::history::Message;
use crate::program::{BINARY, ask, run};

#[test]
fn flags_that_are_none_and_no_command_are_exit_status_2() {
    let cases: [&[&str]; 4] = [&[], &["no-such-command"], &["rooms", "--nothing"], &["verify"]];
    for args in cases {
        let (status, printed, errors) = ask(BINARY, args);
        assert_eq!((status, printed.as_str()), (2, ""), "{args:?}");
        assert!(errors.contains("Usage: ably-chat-archive"), "{errors}");
    }
    for flag in ["--help", "--version"] {
        let (status, printed, errors) = ask(BINARY, &[flag]);
        assert_eq!((status, errors.as_str()), (0, ""));
        assert!(!printed.contains("ably-chat-exporter"), "{printed}");
    }
}

/// `run` works, and one sentence names `backfill`.
#[tokio::test]
async fn the_old_command_works_and_names_the_new_one() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    Message::new(1, 0, false, 0).publish(&ably, "r");
    let args = ["--quiet", "run", "--room", "r", "--execute"];
    let ran = run(&args, &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["repaired"]), (0, &json!(1)), "{}", ran.errors);
    assert_eq!(ran.errors, "warning: the command `run` is now `backfill`\n");
}

/// Whoever keeps a link under the program's old name.
#[test]
fn the_old_program_works_and_names_the_new_one() {
    let folder = std::env::temp_dir().join(format!("ably-chat-names-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let link = folder.join("ably-chat-backfill");
    std::os::unix::fs::symlink(BINARY, &link).expect("a link");
    let asked = ask(link.to_str().expect("a path"), &["run", "--room", "r"]);
    std::fs::remove_dir_all(&folder).expect("the folder is removed");
    let (status, _, errors) = asked;
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(
        lines[0],
        "warning: `ably-chat-backfill run` is now called `ably-chat-archive backfill`"
    );
    assert!(lines.len() == 2 && lines[1].starts_with("error: wrong settings: "), "{errors}");
    assert_eq!(status, 2);
}

#[test]
fn completions_and_the_manual_name_the_program_and_its_commands() {
    for what in ["bash", "fish", "zsh", "man"] {
        let (status, printed, errors) = ask(BINARY, &["generate", what]);
        assert_eq!((status, errors.as_str()), (0, ""), "{what}");
        for name in ["ably-chat-archive", "backfill", "reconcile", "verify", "rooms", "execute"] {
            assert!(printed.contains(name), "{name} in {what}");
        }
    }
    assert!(ask(BINARY, &["--help"]).1.contains("generate"));
}
