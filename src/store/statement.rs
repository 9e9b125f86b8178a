//! A row as a PartiQL `INSERT` (Amazon DynamoDB Developer Guide, "PartiQL insert statements for
//! DynamoDB"). Its text holds the table's name and names of attributes, which are this program's
//! own; whatever people wrote travels beside it, as parameters.

use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest};

use crate::store::key::{PK, SK};
use crate::store::put::Put;

/// The texts of the statements of one request, by the names of attributes: rows of one kind share
/// them.
pub(super) struct Statements<'a> {
    table: &'a str,
    texts: Vec<(Vec<&'a str>, String)>,
}

impl<'a> Statements<'a> {
    pub(super) fn new(table: &'a str) -> Self {
        Self { table, texts: Vec::new() }
    }

    /// The statement that puts a row where none is; `None` for an attribute that its text cannot
    /// name.
    pub(super) fn insert(&mut self, put: &'a Put) -> Option<BatchStatementRequest> {
        let mut attributes: Vec<_> = put.item().iter().collect();
        attributes.sort_unstable_by_key(|(name, _)| *name);
        let keys = [&put.key.pk, &put.key.sk].map(|key| AttributeValue::S(key.clone()));
        let mut values = Vec::with_capacity(attributes.len() + keys.len());
        values.extend(keys);
        values.extend(attributes.iter().map(|(_, value)| (*value).clone()));
        let text = self.text(attributes.iter().map(|(name, _)| name.as_str()))?;
        let request = BatchStatementRequest::builder().statement(text);
        request.set_parameters(Some(values)).build().ok()
    }

    fn text(&mut self, names: impl Iterator<Item = &'a str> + Clone) -> Option<&str> {
        let known = |(known, _): &(Vec<&str>, String)| names.clone().eq(known.iter().copied());
        let place = match self.texts.iter().position(known) {
            Some(place) => place,
            None => {
                let text = text(self.table, names.clone())?;
                self.texts.push((names.collect(), text));
                self.texts.len() - 1
            }
        };
        Some(&self.texts[place].1)
    }
}

fn text<'a>(table: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut text = String::with_capacity(256);
    text.extend(["INSERT INTO \"", table, "\" VALUE {'", PK, "': ?, '", SK, "': ?"]);
    for name in names {
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        text.extend([", '", name, "': ?"]);
    }
    text.push('}');
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::chat::{RoomName, Serial};
    use crate::store::condition::Condition;
    use crate::store::key::Key;

    fn put(room: &str, item: &[(&str, &str)]) -> Put {
        let item = item.iter().map(|(name, text)| {
            (ToString::to_string(name), AttributeValue::S(ToString::to_string(text)))
        });
        let key = Key::message(&RoomName(room.into()), &Serial("1".into())).unwrap();
        Put::new(key, Condition::Absent, item.collect::<HashMap<_, _>>()).unwrap()
    }

    #[test]
    fn values_are_parameters_only() {
        let hostile = "'\"?}{\\\n', 'x': ?} -- ;";
        let put = put(hostile, &[("text", hostile), ("serial", hostile)]);
        let statement = Statements::new("t-1.x").insert(&put).unwrap();
        let text = "INSERT INTO \"t-1.x\" VALUE {'pk': ?, 'sk': ?, 'serial': ?, 'text': ?}";
        assert_eq!(statement.statement(), text);
        let values = [hostile, "message#1", hostile, hostile];
        assert_eq!(statement.parameters(), values.map(|it| AttributeValue::S(it.into())));
    }

    #[test]
    fn a_name_that_is_not_ours_makes_no_statement() {
        for name in ["a'b", "a?", "a b", "é"] {
            let put = put("r", &[(name, "x")]);
            assert!(Statements::new("t").insert(&put).is_none(), "{name}");
        }
    }

    #[test]
    fn rows_share_a_text_if_they_have_the_same_attributes() {
        let rows = [&["text"][..], &["text", "data"], &["data", "text"], &["text"], &[]];
        let puts =
            rows.map(|names| put("r", &names.iter().map(|&it| (it, "x")).collect::<Vec<_>>()));
        let mut statements = Statements::new("t");
        let texts = puts.each_ref().map(|put| statements.insert(put).unwrap().statement);
        let with = |names: &str| format!("INSERT INTO \"t\" VALUE {{'pk': ?, 'sk': ?{names}}}");
        let (one, two) = (with(", 'text': ?"), with(", 'data': ?, 'text': ?"));
        assert_eq!(texts, [one.clone(), two.clone(), two, one, with("")]);
        assert_eq!(statements.texts.len(), 3);
    }
}
