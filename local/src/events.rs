//! The events to send, and what became of them.

use std::error::Error;
use std::path::{Path, PathBuf};

use anstyle::Style;
use serde_json::Value;
use testkit::Answer;

use crate::screen::{ASIDE, NAME, WIDTH, heading, paragraph, printable};

/// The files to send: all of `events/`, Ably's payloads first and then the same as AWS hands
/// them over; or those named, with or without folder and ending.
pub(crate) fn files(names: &[String]) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no repository")?;
    let folder = root.join("events");
    if names.is_empty() {
        return samples(&folder);
    }
    let path = |name: &String| {
        let sample = folder.join(name).with_extension("json");
        [sample, PathBuf::from(name)].into_iter().find(|path| path.is_file()).ok_or_else(|| {
            let samples = samples(&folder).unwrap_or_default();
            let name_of = |path: &PathBuf| {
                let name = path.strip_prefix(&folder).unwrap_or(path).with_extension("");
                name.display().to_string()
            };
            let samples: Vec<_> = samples.iter().map(name_of).collect();
            let there = textwrap::fill(&samples.join(" "), WIDTH);
            format!("There is no event {name:?}, nor a file of that name. In events/ are:\n{there}")
        })
    };
    Ok(names.iter().map(path).collect::<Result<_, _>>()?)
}

/// All of `events/`.
fn samples(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths = Vec::new();
    for folder in [&folder.join("deliveries"), folder] {
        for entry in std::fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
    }
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort_by_key(|path| (path.components().count(), path.clone()));
    Ok(paths)
}

/// Shows what the function answered, the events that got the same answer together and errors last.
pub(crate) fn answers(answers: &[(String, Answer)]) {
    heading(&format!("Events sent: {}", answers.len()));
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    let (errors, others): (Vec<_>, Vec<_>) =
        answers.iter().partition(|(_, answer)| matches!(answer, Answer::Error(_)));
    for (name, answer) in others.into_iter().chain(errors) {
        let answer = describe(answer);
        match groups.iter_mut().find(|(known, _)| *known == answer) {
            Some((_, names)) => names.push(name),
            None => groups.push((answer, vec![name])),
        }
    }
    for (answer, names) in groups {
        paragraph(2, &printable(&answer), NAME);
        paragraph(6, &printable(&names.join(", ")), Style::new());
    }
}

/// Shows why messages were parked, and says what becomes of events that the function has failed.
pub(crate) fn parked(
    messages: &[String],
    answers: &[(String, Answer)],
) -> Result<(), Box<dyn Error>> {
    heading(&format!("Parked in the failure queue: {}", messages.len()));
    let failed = answers.iter().filter(|(_, answer)| matches!(answer, Answer::Error(_))).count();
    if failed > 0 {
        let text = format!(
            "Not counted: the {failed} failed above. Lambda itself, which is not here, tries such \
             an event twice more and then puts it there (the function's failure destination)."
        );
        paragraph(2, &text, ASIDE);
    }
    for message in messages {
        let parked: Value = serde_json::from_str(message)?;
        let reason = parked["parked"]["reason"].as_str().unwrap_or_default();
        paragraph(2, &printable(reason), Style::new());
    }
    Ok(())
}

fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Error(error) => format!(
            "{}: {}",
            error["errorType"].as_str().unwrap_or("error"),
            error["errorMessage"].as_str().unwrap_or_default()
        ),
        Answer::Response(answer) => match (&answer["batchItemFailures"], &answer["body"]) {
            (Value::Array(failures), _) if failures.is_empty() => "all acknowledged".into(),
            (Value::Array(failures), _) => {
                let ids = failures.iter().filter_map(|one| one["itemIdentifier"].as_str());
                format!("to come again: {}", ids.collect::<Vec<_>>().join(", "))
            }
            (_, Value::String(body)) => {
                let report = serde_json::from_str(body).unwrap_or_default();
                format!("HTTP {}, {}", answer["statusCode"], counts(&report))
            }
            _ => counts(answer),
        },
    }
}

fn counts(report: &Value) -> String {
    let counts = ["stored", "superseded"].map(|name| (name.to_owned(), &report[name]));
    let skips = report["skipped"].as_object().into_iter().flatten();
    let skips = skips.map(|(reason, count)| (format!("skipped ({reason})"), count));
    let counts = counts.into_iter().chain(skips);
    let counts = counts.filter(|(_, count)| count.as_u64().is_some_and(|count| count > 0));
    let words: Vec<_> = counts.map(|(name, n): (String, &Value)| format!("{name} {n}")).collect();
    words.join(", ")
}
