//! Every link leads somewhere, and README stays short.

use std::collections::BTreeSet;

use crate::{files, path, read};

/// Every page that is written by hand and kept true, with its text.
fn pages() -> Vec<(String, String)> {
    let others = ["README.md", "DESIGN.md", "CONTRIBUTING.md"].map(str::to_owned);
    let names = others.into_iter().chain(files("docs", ".md"));
    names.map(|name| (name.clone(), read(&name))).collect()
}

/// A page without its blocks of code.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_fence && !is_code
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// The targets of a page's links and pictures.
fn targets(text: &str) -> Vec<String> {
    let rest = text.split("](").skip(1);
    rest.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors that GitHub gives a page's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|it| it.is_alphanumeric() || " -_".contains(*it));
        kept.map(|it| if it == ' ' { '-' } else { it }).collect::<String>()
    };
    headings.map(slug).collect()
}

/// What is between backquotes on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The place that a relative link of a page names, from the root of the repository.
fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<_> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop().expect("a directory above")),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for (page, text) in pages() {
        for target in targets(&prose(&text)).iter().filter(|it| !it.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { resolve(&page, file) };
            let leads = match anchor {
                "" => path(&file).exists(),
                _ => path(&file).is_file() && anchors(&prose(&read(&file))).contains(anchor),
            };
            if !leads {
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_file_that_is_named_exists() {
    let folders = ["src/", "functions/", "deploy/", "docs/", "scripts/", "tests/", "testkit/"];
    let mut missing = Vec::new();
    for (page, text) in pages() {
        let text = prose(&text);
        let named = quoted(&text).filter(|it| folders.iter().any(|folder| it.starts_with(folder)));
        let named = named.filter(|it| !path(it).exists());
        missing.extend(named.map(|it| format!("{page}: {it}")));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn readme_is_short_and_leads_to_every_page() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 150, "{} lines", readme.lines().count());
    let targets = targets(&readme);
    for page in files("docs", ".md") {
        assert!(targets.contains(&page), "README.md does not lead to {page}");
    }
}

#[test]
fn links_and_anchors_are_read_as_github_reads_them() {
    assert_eq!(targets("[a](b.md#c) and ![d](e.svg)"), ["b.md#c", "e.svg"]);
    assert_eq!(
        anchors("# A `B=c` d?\n### Why *or* `x_y`\ntext"),
        BTreeSet::from(["a-bc-d", "why-or-x_y"].map(str::to_owned))
    );
    assert_eq!(resolve("docs/A.md", "../src/store"), "src/store");
    assert_eq!(resolve("README.md", "docs/A.md"), "docs/A.md");
}
