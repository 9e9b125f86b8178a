//! Prints rows, attribute by attribute.

use std::collections::BTreeMap;

use anstyle::Style;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Number, Value, json};
use testkit::Item;
use textwrap::core::display_width;

use crate::screen::{ASIDE, NAME, columns_behind, entry, heading, paragraph, printable, styled};

/// Rows shown of each kind, unless all are asked for.
const OF_EACH_KIND: usize = 2;
/// Columns of a type's name.
const TYPE: usize = 4;

/// How many rows to show.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// A few of each kind.
    Few,
    /// All.
    All,
}

/// Shows a table's rows.
pub(crate) fn rows(mut rows: Vec<Item>, shown: Rows) {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for row in &rows {
        *kinds.entry(kind(row)).or_default() += 1;
    }
    let counts: Vec<_> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    heading(&format!("Rows in DynamoDB: {}", rows.len()));
    paragraph(2, &printable(&counts.join(", ")), ASIDE);
    if shown == Rows::Few && kinds.values().any(|count| *count > OF_EACH_KIND) {
        rows = few(rows);
        paragraph(2, "Two of each kind are here; every row with ROWS=all", ASIDE);
    }
    for row in rows {
        self::row(row);
    }
}

/// The first of each kind, those of the partition with most rows before others.
fn few(mut rows: Vec<Item>) -> Vec<Item> {
    let mut partitions: BTreeMap<String, usize> = BTreeMap::new();
    for row in &rows {
        *partitions.entry(text(row, "pk")).or_default() += 1;
    }
    rows.sort_by_key(|row| std::cmp::Reverse(partitions[&text(row, "pk")]));
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    rows.retain(|row| {
        let count = taken.entry(kind(row)).or_default();
        *count += 1;
        *count <= OF_EACH_KIND
    });
    rows
}

/// A row's kind: the first word of its sort key.
fn kind(row: &Item) -> String {
    text(row, "sk").split('#').next().unwrap_or_default().to_owned()
}

fn text(row: &Item, name: &str) -> String {
    row[name].as_s().cloned().unwrap_or_default()
}

fn row(mut row: Item) {
    anstream::println!();
    let keys = ["pk", "sk"].into_iter().filter_map(|name| row.remove_entry(name));
    let keys: Vec<_> = keys.collect();
    let others: BTreeMap<_, _> = row.into_iter().collect();
    let columns = others.keys().map(String::len).max().unwrap_or_default();
    for (name, value) in keys.into_iter().chain(others) {
        let (kind, value) = described(&value, columns_behind(2 + columns + TYPE + 4));
        let lines: Vec<_> = value.lines().map(printable).collect();
        let name = format!("{:columns$}", printable(&name));
        let label = format!("{}  {}", styled(NAME, &name), styled(ASIDE, kind));
        entry(2, &label, columns + 2 + TYPE, &lines.join("\n"), Style::new());
    }
}

/// DynamoDB's name for a value's type, and the value as JSON in `columns`.
fn described(value: &AttributeValue, columns: usize) -> (&'static str, String) {
    let kind = match value {
        AttributeValue::S(_) => "S",
        AttributeValue::N(_) => "N",
        AttributeValue::Bool(_) => "BOOL",
        AttributeValue::Null(_) => "NULL",
        AttributeValue::B(_) => "B",
        AttributeValue::L(_) => "L",
        AttributeValue::M(_) => "M",
        _ => "?",
    };
    match value {
        AttributeValue::N(number) => (kind, number.clone()),
        _ => (kind, laid_out(&plain(value), columns)),
    }
}

/// JSON in `columns`, as far as strings let it: what fits is on one line, else each member is.
fn laid_out(value: &Value, columns: usize) -> String {
    let (open, close, members): (_, _, Vec<(String, &Value)>) = match value {
        Value::Array(values) => {
            ("[", "]", values.iter().map(|value| (String::new(), value)).collect())
        }
        Value::Object(map) => {
            let name = |name: &String| format!("{}: ", json!(name));
            ("{", "}", map.iter().map(|(key, value)| (name(key), value)).collect())
        }
        scalar => return scalar.to_string(),
    };
    let member = |(name, value): &(String, &Value), columns: usize| {
        format!("{name}{}", laid_out(value, columns.saturating_sub(display_width(name))))
    };
    let line: Vec<_> = members.iter().map(|one| member(one, usize::MAX)).collect();
    let line = format!("{open}{}{close}", line.join(", "));
    if display_width(&line) <= columns {
        return line;
    }
    let inner = columns.saturating_sub(3);
    let lines: Vec<_> =
        members.iter().map(|one| member(one, inner).replace('\n', "\n  ")).collect();
    format!("{open}\n  {}\n{close}", lines.join(",\n  "))
}

/// A value as JSON: bytes in Base64, numbers as DynamoDB writes them.
fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!(text),
        AttributeValue::N(number) => match serde_json::from_str::<Number>(number) {
            Ok(value) if value.to_string() == *number => value.into(),
            // It has more digits than JSON's numbers do here.
            _ => json!(number),
        },
        AttributeValue::Bool(value) => json!(value),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::B(bytes) => json!(aws_smithy_types::base64::encode(bytes.as_ref())),
        AttributeValue::L(values) => values.iter().map(plain).collect(),
        AttributeValue::M(map) => map
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => json!(format!("{other:?}")),
    }
}
