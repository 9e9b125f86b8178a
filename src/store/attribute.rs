//! JSON and DynamoDB attributes. A JSON object becomes a map only where DynamoDB would give back
//! exactly what went in; else it is kept as its text.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::value::RawValue;

use crate::chat::InOrder;

/// Levels of values within each other (DynamoDB "Service quotas"); the attribute itself is one, and
/// so is the innermost value.
const MAX_LEVELS: usize = 32;
/// Digits a DynamoDB number keeps; with no exponent, they also keep it within its range.
const MAX_DIGITS: usize = 38;
/// Bytes in an attribute's name.
const MAX_NAME_BYTES: usize = 65_535;

/// The attribute for JSON `text`, or `None` where DynamoDB could not hold it exactly: too deep, an
/// empty or repeated name, a number it would round or respell. `depth` is the number of maps the
/// attribute will stand in.
pub(super) fn native(text: &str, depth: usize) -> Option<AttributeValue> {
    if depth >= MAX_LEVELS {
        return None;
    }
    match text.as_bytes().first()? {
        b'{' => {
            let InOrder(members) = serde_json::from_str::<InOrder<String, &RawValue>>(text).ok()?;
            let mut map = HashMap::with_capacity(members.len());
            for (name, value) in members {
                if name.is_empty() || name.len() > MAX_NAME_BYTES {
                    return None;
                }
                if map.insert(name, native(value.get(), depth + 1)?).is_some() {
                    return None;
                }
            }
            Some(AttributeValue::M(map))
        }
        b'[' => {
            let values: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            let list = values.into_iter().map(|value| native(value.get(), depth + 1));
            list.collect::<Option<_>>().map(AttributeValue::L)
        }
        b'"' => serde_json::from_str(text).ok().map(AttributeValue::S),
        b't' => Some(AttributeValue::Bool(true)),
        b'f' => Some(AttributeValue::Bool(false)),
        b'n' => Some(AttributeValue::Null(true)),
        _ => keeps_spelling(text).then(|| AttributeValue::N(text.into())),
    }
}

/// Whether DynamoDB gives a number back as it was spelled: it drops exponents, trailing zeros of a
/// fraction and the sign of zero, and rounds past 38 digits.
fn keeps_spelling(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let short = digits.bytes().filter(u8::is_ascii_digit).count() <= MAX_DIGITS;
    let trimmed = !digits.contains('.') || !digits.ends_with('0');
    plain && short && trimmed && number != "-0"
}

/// The JSON text of an attribute, object members sorted by name. `None` for a type that JSON does
/// not have.
pub(super) fn to_json(value: &AttributeValue) -> Option<String> {
    let mut text = String::new();
    write_json(value, &mut text).then_some(text)
}

fn write_json(value: &AttributeValue, out: &mut String) -> bool {
    match value {
        AttributeValue::S(text) => write_string(text, out),
        AttributeValue::N(number) => out.push_str(number),
        AttributeValue::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        AttributeValue::Null(_) => out.push_str("null"),
        AttributeValue::L(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                if !write_json(value, out) {
                    return false;
                }
            }
            out.push(']');
        }
        AttributeValue::M(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                if !write_json(value, out) {
                    return false;
                }
            }
            out.push('}');
        }
        _ => return false,
    }
    true
}

fn write_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Bytes an attribute counts towards the limit of an item (DynamoDB "Item sizes and formats");
/// for numbers, whose exact size is not documented, an upper bound.
pub(super) fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number.len() / 2 + 2,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + size(value)).sum::<usize>(),
        AttributeValue::M(map) => {
            3 + map.iter().map(|(name, value)| 1 + name.len() + size(value)).sum::<usize>()
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dynamodb_holds_exactly_is_native_and_comes_back_the_same() {
        for json in [
            "{}",
            r#"{"a":[],"b":{},"c":null,"d":true,"e":false,"f":""}"#,
            r##"{"#a.b":0,"__proto__":-1,"n":1.5,"z":0.001}"##,
            r#"{"big":12345678901234567890123456789012345678}"#,
            r#"{"esc":"\"\\\n\t\u0000é🙂"}"#,
        ] {
            let attribute = native(json, 0).unwrap_or_else(|| panic!("{json} is not native"));
            assert_eq!(to_json(&attribute).unwrap(), json);
        }
    }

    #[test]
    fn what_it_would_change_or_refuse_is_not() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(native(&deep(32), 0).is_some());
        assert!(native(&deep(32), 1).is_none());
        assert!(native(&deep(33), 0).is_none());
        assert!(native(&deep(100_000), 0).is_none());
        for json in [
            r#"{"":1}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":"\ud800"}"#,
            "1e300",
            "1e2",
            "1E2",
            "1.0",
            "0.10",
            "-0",
            "-0.0",
            "123456789012345678901234567890123456789",
        ] {
            assert!(native(json, 0).is_none(), "{json}");
        }
    }
}
