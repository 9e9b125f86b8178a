//! What the documents promise, and what the stack does.

mod links;
mod logs;
mod settings;
mod stack;
mod template;

use std::fs;
use std::path::{Path, PathBuf};

/// A file or directory of the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names of files with this ending in a directory, and in those below it, in order.
fn files(directory: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(path(directory))
        .unwrap_or_else(|error| panic!("{directory}: {error}"))
        .map(|entry| entry.expect("an entry"))
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{directory}/{}", entry.file_name().display());
        match entry.path().is_dir() {
            true => found.extend(files(&name, ending)),
            false if name.ends_with(ending) => found.push(name),
            false => {}
        }
    }
    found
}

/// What users read: README and docs/.
fn for_users() -> String {
    let docs = files("docs", ".md");
    docs.iter().map(String::as_str).chain(["README.md"]).map(read).collect()
}
