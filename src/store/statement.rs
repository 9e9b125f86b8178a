//! A row as a PartiQL `INSERT` (Amazon DynamoDB Developer Guide, "PartiQL insert statements for
//! DynamoDB"). Its text holds the table's name and names of attributes, which are this program's
//! own; whatever people wrote travels beside it, as parameters.

use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest};

use crate::store::key::{PK, SK};
use crate::store::put::Put;

/// The statement that puts a row where none is; `None` for an attribute that its text cannot name.
pub(super) fn insert(table: &str, put: &Put) -> Option<BatchStatementRequest> {
    let mut attributes: Vec<_> = put.item().iter().collect();
    attributes.sort_unstable_by_key(|(name, _)| *name);
    let mut text = String::with_capacity(256);
    text.extend(["INSERT INTO \"", table, "\" VALUE {'", PK, "': ?, '", SK, "': ?"]);
    let mut values = Vec::with_capacity(attributes.len() + 2);
    values.extend([&put.key.pk, &put.key.sk].map(|key| AttributeValue::S(key.clone())));
    for (name, value) in attributes {
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        text.extend([", '", name, "': ?"]);
        values.push(value.clone());
    }
    text.push('}');
    let request = BatchStatementRequest::builder().statement(text);
    request.set_parameters(Some(values)).build().ok()
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
        let statement = insert("t-1.x", &put(hostile, &[("text", hostile), ("serial", hostile)]));
        let statement = statement.unwrap();
        let text = "INSERT INTO \"t-1.x\" VALUE {'pk': ?, 'sk': ?, 'serial': ?, 'text': ?}";
        assert_eq!(statement.statement(), text);
        let values = [hostile, "message#1", hostile, hostile];
        assert_eq!(statement.parameters(), values.map(|it| AttributeValue::S(it.into())));
    }

    #[test]
    fn a_name_that_is_not_ours_makes_no_statement() {
        for name in ["a'b", "a?", "a b", "é"] {
            assert!(insert("t", &put("r", &[(name, "x")])).is_none(), "{name}");
        }
    }
}
