//! What `--help` says of each command is so.

use std::cell::RefCell;
use std::collections::BTreeSet;

use ably_chat_exporter::config::{AblyRestConfig, HistoryConfig};

use crate::program::{BINARY, ask};

/// Read by the server, which publishes, and not by walks.
const OF_PUBLISHING: [&str; 2] = ["FAILURE_QUEUE_URL", "RECONCILE_QUEUE_URL"];
/// Read by [`AblyRestConfig`] and checked, but used by functions alone.
const OF_FUNCTIONS: [&str; 8] = [
    "AWS_LAMBDA_LOG_LEVEL",
    "FAILURE_QUEUE_URL",
    "HISTORY_DAYS",
    "LOG_LEVEL",
    "RECONCILE_PACE",
    "RECONCILE_QUEUE_URL",
    "WEBHOOK_KEYS",
    "WEBHOOK_TOKEN",
];

fn help(args: &[&str]) -> String {
    let (status, help, errors) = ask(BINARY, &[args, &["--help"]].concat());
    assert_eq!((status, errors.as_str()), (0, ""));
    help
}

/// The lines below a heading, up to the next empty one.
fn section<'a>(help: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let mut lines = help.lines();
    assert!(lines.by_ref().any(|line| line == heading), "{heading} in {help}");
    lines.take_while(|line| !line.is_empty())
}

/// The first words of these lines, if they begin in the third column.
fn names<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let named = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    named.filter(|name| !name.is_empty()).collect()
}

/// All commands that work on a table, by the program's own list.
fn commands(help: &str) -> BTreeSet<&str> {
    let mut commands = names(section(help, "Commands:"));
    for other in ["generate", "help"] {
        assert!(commands.remove(other), "{other} in {help}");
    }
    commands
}

#[test]
fn every_command_has_examples_that_it_takes() {
    let program = help(&[]);
    assert!(commands(&program).is_superset(&["backfill", "reconcile", "rooms", "verify"].into()));
    for command in commands(&program) {
        let help = help(&[command]);
        let examples = section(&help, "Examples:").filter_map(|line| line.strip_prefix("    "));
        let examples: Vec<&str> = examples.collect();
        assert!(!examples.is_empty());
        for example in examples {
            let line = example.split(" | ").next().expect("a first part");
            let args: Vec<&str> = line.split(' ').collect();
            assert_eq!(args[..2], ["ably-chat-archive", command]);
            let (status, printed, errors) = ask(BINARY, &args[1..]);
            assert_eq!((status, printed.as_str()), (2, ""));
            assert!(errors.starts_with("error: wrong settings: "), "{example}: {errors}");
        }
    }
}

#[test]
fn every_command_names_its_exit_statuses() {
    let program = help(&[]);
    for command in commands(&program) {
        let help = help(&[command]);
        let statuses: Vec<u8> = section(&help, "Exit status:")
            .map(|line| {
                line.split_whitespace().next().expect("a status").parse().expect("a number")
            })
            .collect();
        let expected: &[u8] = match command {
            "rooms" | "serve" => &[0, 2],
            "verify" => &[0, 1, 2],
            _ => &[0, 1, 2, 130],
        };
        assert_eq!(statuses, expected, "{command}");
    }
}

#[test]
fn every_command_lists_the_environment_that_it_reads() {
    let read = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        None
    };
    assert!(AblyRestConfig::read(lookup, true).is_err());
    let read_by_walks = read.take();
    assert!(HistoryConfig::read(lookup).is_err());
    let read_by_server = read.take();
    let program = help(&[]);
    for command in commands(&program) {
        let help = help(&[command]);
        let is_server = command == "serve";
        let read = if is_server { &read_by_server } else { &read_by_walks };
        let is_used =
            |name: &&str| !OF_FUNCTIONS.contains(name) || is_server && OF_PUBLISHING.contains(name);
        let used: BTreeSet<&str> = read.iter().map(String::as_str).filter(is_used).collect();
        let mut listed = names(section(&help, "Environment:"));
        assert!(listed.remove("AWS_…"), "{command}");
        assert!(listed.is_subset(&used), "{command}: {:?}", listed.difference(&used));
        if ["backfill", "reconcile", "serve"].contains(&command) {
            assert_eq!(listed, used, "{command}");
        }
        // The required ones are those without which it does not begin.
        let is_required = |line: &&str| line.contains("  required: ");
        let required = names(section(&help, "Environment:").filter(is_required));
        let has_no_room = ["rooms", "serve"].contains(&command);
        let args: &[&str] = if has_no_room { &[] } else { &["--room", "r"] };
        let (_, _, errors) = ask(BINARY, &[&[command], args].concat());
        let missing = errors.trim_start_matches("error: wrong settings: ").trim_end().split("; ");
        let missing = missing.map(|it| it.strip_suffix(" is not set").expect("a missing one"));
        assert_eq!(missing.collect::<BTreeSet<_>>(), required, "{command}");
    }
}

#[test]
fn help_is_at_most_100_columns_wide() {
    let program = help(&[]);
    let helps = commands(&program).into_iter().map(|command| help(&[command]));
    for help in helps.chain([program.clone()]) {
        let long = help.lines().find(|line| line.chars().count() > 100);
        assert_eq!(long, None);
    }
}
