//! `docs/LOGGING.md` has every field and every line that is logged, and nothing else.

use std::collections::BTreeSet;

use crate::{files, read};

/// Fields that no macro names: the form of each line, and the one line that is made by hand.
const OF_FORM: [&str; 4] = ["timestamp", "level", "message", "mistakes"];

/// Lines whose text no macro holds as it is.
const OF_NO_MACRO: [&str; 2] =
    ["not started: wrong settings", "members are not of the type that Ably documents: "];

/// The arguments of each logging macro in a source file.
fn logged(code: &str) -> Vec<Vec<String>> {
    let levels = ["trace!(", "debug!(", "info!(", "warn!(", "error!("];
    levels.iter().flat_map(|level| code.split(level).skip(1)).map(arguments).collect()
}

/// The arguments up to the closing parenthesis.
fn arguments(code: &str) -> Vec<String> {
    let (mut found, mut one, mut depth) = (Vec::new(), String::new(), 0);
    let mut characters = code.chars();
    while let Some(it) = characters.next() {
        match it {
            '"' => {
                one.push(it);
                let mut is_escaped = false;
                for it in characters.by_ref() {
                    one.push(it);
                    if it == '"' && !is_escaped {
                        break;
                    }
                    is_escaped = it == '\\' && !is_escaped;
                }
                continue;
            }
            ',' if depth == 0 => {
                found.push(std::mem::take(&mut one).trim().to_owned());
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        one.push(it);
    }
    found.push(one.trim().to_owned());
    found.retain(|argument| !argument.is_empty());
    found
}

/// All that the library, the consumer and the functions log.
fn all() -> Vec<Vec<String>> {
    let sources = ["src", "functions"].into_iter().flat_map(|folder| files(folder, ".rs"));
    sources.flat_map(|name| logged(&read(&name))).collect()
}

/// The field's name: `name = value`, or the name of a variable.
fn field(argument: &str) -> Option<&str> {
    let name = argument.split_once(" = ").map_or(argument, |(name, _)| name);
    let name = name.trim_start_matches(['%', '?']);
    (!name.starts_with('"')).then_some(name)
}

/// The first column of the table below a heading: what is between backquotes there.
fn column(heading: &str) -> BTreeSet<String> {
    let page = read("docs/LOGGING.md");
    let (_, section) = page.split_once(heading).expect("the heading");
    let section = section.split("\n## ").next().expect("a first part");
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let names = cells.flat_map(|cell| cell.split('`').step_by(2));
    names.filter(|name| !name.is_empty() && *name != ", ").map(ToOwned::to_owned).collect()
}

#[test]
fn the_table_of_fields_is_what_is_logged() {
    let calls = all();
    let fields = calls.iter().flatten().filter_map(|argument| field(argument));
    let logged: BTreeSet<String> = fields.chain(OF_FORM).map(ToOwned::to_owned).collect();
    assert!(logged.len() > 30, "{logged:?}");
    let described = column("\n## Fields\n");
    let missing: Vec<_> = logged.difference(&described).collect();
    let unused: Vec<_> = described.difference(&logged).collect();
    assert!(missing.is_empty() && unused.is_empty(), "missing {missing:?}, unused {unused:?}");
}

#[test]
fn no_field_is_nested() {
    for name in column("\n## Fields\n") {
        let is_plain = name.chars().all(|it| it.is_ascii_alphanumeric());
        assert!(is_plain && name.starts_with(|it: char| it.is_ascii_lowercase()), "{name}");
    }
}

#[test]
fn every_line_is_explained() {
    let described = column("\n## Lines\n");
    let calls = all();
    let messages = calls.iter().filter_map(|arguments| arguments.last());
    let messages = messages.filter_map(|text| text.strip_prefix('"')?.strip_suffix('"'));
    let messages: Vec<_> = messages.collect();
    let missing: Vec<_> = messages
        .iter()
        .filter(|message| !message.starts_with('{'))
        .filter(|message| !described.iter().any(|text| is_of(message, text)))
        .collect();
    let unused: Vec<_> = described
        .iter()
        .filter(|text| !OF_NO_MACRO.iter().any(|message| is_of(message, text)))
        .filter(|text| !messages.iter().any(|message| is_of(message, text)))
        .collect();
    assert!(missing.is_empty() && unused.is_empty(), "missing {missing:#?}, unused {unused:#?}");
}

/// Whether the page means this message: by its beginning, if it leaves out the rest.
fn is_of(message: &str, text: &str) -> bool {
    match text.strip_suffix('…') {
        Some(beginning) => message.starts_with(beginning.trim_end()),
        None => message == text,
    }
}

#[test]
fn macros_are_read_as_rust_reads_them() {
    let code = r#"tracing::warn!(at = f(a, b), %address, gap = ?x.gap, reason, "a, (\" b");"#;
    let [arguments] = &logged(code)[..] else { panic!("one call") };
    let names: Vec<_> = arguments.iter().filter_map(|it| field(it)).collect();
    assert_eq!(names, ["at", "address", "gap", "reason"]);
    assert_eq!(arguments[4], r#""a, (\" b""#);
}
