//! What a line on the terminal is made of: its width, its styles, and text that cannot steer it.

use std::io;

use anstyle::{AnsiColor, Style};
use terminal_size::{Width, terminal_size_of};
use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

/// The width where nothing says how wide a line may be: in a file or a pipe.
pub(crate) const WIDTH: usize = 100;
/// The fewest columns for wrapped text, even where none are left.
const NARROWEST: usize = 20;

/// A heading.
pub(crate) const HEADING: Style = Style::new().bold();
/// A name: who wrote, an attribute, a command.
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();
/// What may be read later.
pub(crate) const ASIDE: Style = Style::new().dimmed();

/// Prints a heading, a blank line before it.
pub(crate) fn heading(text: &str) {
    anstream::println!("\n{HEADING}{text}{HEADING:#}");
}

/// Prints `label`, and `text` wrapped in the columns behind it.
pub(crate) fn entry(indent: usize, label: &str, columns: usize, text: &str, style: Style) {
    let pad = columns.saturating_sub(display_width(label));
    let margin = " ".repeat(indent + columns + 2);
    let room =
        Options::new(columns_behind(margin.len())).word_splitter(WordSplitter::NoHyphenation);
    let mut lines = text.lines().flat_map(|line| textwrap::wrap(line, &room));
    let first = lines.next().unwrap_or_default();
    anstream::println!("{:indent$}{label}{:pad$}  {}", "", "", styled(style, &first));
    for line in lines {
        anstream::println!("{margin}{}", styled(style, &line));
    }
}

/// Prints text, wrapped.
pub(crate) fn paragraph(indent: usize, text: &str, style: Style) {
    entry(0, "", indent.saturating_sub(2), text, style);
}

/// Text in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The columns left behind a margin.
pub(crate) fn columns_behind(margin: usize) -> usize {
    let width =
        terminal_size_of(io::stdout()).map_or(WIDTH, |(Width(columns), _)| usize::from(columns));
    width.saturating_sub(margin).max(NARROWEST)
}

/// Text without what would steer the terminal: control characters and changes of direction.
pub(crate) fn printable(text: &str) -> String {
    let turns = ['\u{200e}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2066}'..='\u{2069}'];
    let steers = |c: char| c.is_control() || turns.iter().any(|range| range.contains(&c));
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}
