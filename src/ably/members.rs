//! An object's members, taken one by one, and those that no field can take. Nothing here refuses a
//! member: an archive keeps what was said, and nobody can send it again in another way.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::ably::json::{self, Kind, Mistyped, Path};
use crate::chat::{InOrder, JsonText};

/// The members of an object, in their order. A name that comes twice means the last of them, as in
/// JavaScript; `null` means that there is none.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(Vec<Member<'a>>);

#[derive(Debug)]
struct Member<'a> {
    /// In its quotes, with its escapes: it may hold half of a surrogate pair.
    name: &'a str,
    /// `None` once it was taken.
    value: Option<&'a RawValue>,
}

/// Members that the fields of a message cannot hold.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// Their JSON, each by the name of the field or by its path.
    pub(super) members: BTreeMap<String, JsonText>,
    /// Which of them are no unknown members, but of another type than the field.
    pub(super) odd: Vec<&'static str>,
}

impl Aside {
    /// Keeps what the field `key` cannot hold.
    pub(super) fn odd(&mut self, key: &'static str, raw: &RawValue) {
        if self.odd.last() != Some(&key) {
            self.odd.push(key);
        }
        self.keep(key.into(), raw);
    }

    fn keep(&mut self, mut key: String, raw: &RawValue) {
        let mut number = self.members.len();
        while self.members.contains_key(&key) {
            number += 1;
            key = format!("{key}#{number}");
        }
        self.members.insert(key, JsonText::from_raw(raw));
    }
}

impl<'a> Members<'a> {
    /// The members of an object. Serde would take an array for one too, member by member.
    pub(super) fn of(raw: &'a RawValue) -> Option<Self> {
        let is_object = json::kind(raw) == Kind::Object;
        is_object.then(|| serde_json::from_str(raw.get()).ok()).flatten()
    }

    /// The same of what has to be an object.
    pub(super) fn read(raw: &'a RawValue, path: &Path<'_>) -> Result<Self, Mistyped> {
        Self::of(raw).ok_or_else(|| Mistyped::new(path, "expected an object"))
    }

    /// Takes the member `name`. What else goes by that name is kept as `key`.
    pub(super) fn take(
        &mut self,
        name: &str,
        key: &'static str,
        aside: &mut Aside,
    ) -> Option<&'a RawValue> {
        let mut named = self.0.iter_mut().rev().filter(|member| member.is(name));
        let found = named.next()?.value.take();
        for value in named.filter_map(|member| member.value.take()) {
            aside.odd(key, value);
        }
        found.filter(|value| json::kind(value) != Kind::Null)
    }

    /// Takes the member `name` and reads it. One that cannot be read so is kept as `key`.
    pub(super) fn get<T>(
        &mut self,
        name: &str,
        key: &'static str,
        aside: &mut Aside,
        read: impl Fn(&'a RawValue) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name, key, aside)?;
        let found = read(value);
        if found.is_none() {
            aside.odd(key, value);
        }
        found
    }

    /// Takes the member `name` if it can be read so, and leaves it where it is if not.
    pub(super) fn take_if<T>(
        &mut self,
        name: &str,
        read: impl Fn(&'a RawValue) -> Option<T>,
    ) -> Option<T> {
        let member = self.0.iter_mut().rev().find(|member| member.is(name))?;
        let found = read(member.value?)?;
        member.value = None;
        Some(found)
    }

    /// Whether a member `name` was not taken.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|member| member.value.is_some() && member.is(name))
    }

    /// Takes members that are of no use to anybody.
    pub(super) fn forget(&mut self, names: &[&str]) {
        for member in &mut self.0 {
            if names.iter().any(|name| member.is(name)) {
                member.value = None;
            }
        }
    }

    /// Moves the members of these names into an object of their own.
    pub(super) fn split(&mut self, names: &[&str]) -> Self {
        let mut split = Vec::new();
        for Member { name, value } in &mut self.0 {
            let member = Member { name, value: *value };
            if names.iter().any(|name| member.is(name)) {
                *value = None;
                split.push(member);
            }
        }
        Self(split)
    }

    /// The members that were not taken. A name that no string can hold is in its wire form.
    pub(super) fn left(&self) -> impl Iterator<Item = (Cow<'a, str>, &'a RawValue)> {
        self.0.iter().filter_map(|member| Some((member.name(), member.value?)))
    }

    /// Keeps the members that were not taken: this program does not know them.
    pub(super) fn keep_left(&self, prefix: &str, aside: &mut Aside) {
        for (name, value) in self.left().filter(|(_, value)| json::kind(value) != Kind::Null) {
            aside.keep(format!("{prefix}{name}"), value);
        }
    }

    /// The members that were not taken, as the JSON of an object; `None` if all were.
    pub(super) fn left_as_json(&self) -> Option<Box<RawValue>> {
        let members = self.0.iter().filter_map(|it| Some(format!("{}:{}", it.name, it.value?)));
        let members: Vec<_> = members.collect();
        let json = || RawValue::from_string(format!("{{{}}}", members.join(","))).ok();
        if members.is_empty() { None } else { json() }
    }
}

impl<'a> Member<'a> {
    fn bare(&self) -> &'a str {
        let name = self.name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
        name.unwrap_or(self.name)
    }

    fn is(&self, name: &str) -> bool {
        let bare = self.bare();
        bare == name || (bare.contains('\\') && self.name() == name)
    }

    fn name(&self) -> Cow<'a, str> {
        let bare = self.bare();
        match bare.contains('\\').then(|| serde_json::from_str(self.name)) {
            Some(Ok(name)) => Cow::Owned(name),
            _ => Cow::Borrowed(bare),
        }
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let InOrder(members) = InOrder::<&RawValue, &RawValue>::deserialize(deserializer)?;
        let members = members.into_iter();
        Ok(Self(members.map(|(name, it)| Member { name: name.get(), value: Some(it) }).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.into()).unwrap()
    }

    #[test]
    fn the_last_of_a_name_counts_and_the_others_are_kept() {
        let json = raw(r#"{"a":1,"\u0061":2,"b":null,"a":3}"#);
        let (mut members, mut aside) = (Members::of(&json).unwrap(), Aside::default());
        assert_eq!(members.get("a", "a", &mut aside, json::whole::<i64>), Some(3));
        assert_eq!(members.get("b", "b", &mut aside, json::text), None);
        assert_eq!(members.left().count(), 0);
        assert_eq!(aside.odd, ["a"]);
        let kept: Vec<_> = aside.members.values().map(JsonText::as_str).collect();
        assert_eq!(kept, ["2", "1"]);
    }

    #[test]
    fn names_that_no_string_holds_keep_nothing_else_out() {
        let json = raw(r#"{"\ud800":1,"a\"":[2],"text":"t"}"#);
        let (mut members, mut aside) = (Members::of(&json).unwrap(), Aside::default());
        assert_eq!(members.take_if("text", json::text).as_deref(), Some("t"));
        let left = members.left_as_json();
        assert_eq!(left.as_deref().map(RawValue::get), Some(r#"{"\ud800":1,"a\"":[2]}"#));
        members.keep_left("extras.", &mut aside);
        let keys: Vec<_> = aside.members.keys().map(String::as_str).collect();
        assert_eq!(keys, [r"extras.\ud800", r#"extras.a""#]);
        assert!(aside.odd.is_empty());
    }

    #[test]
    fn arrays_are_no_objects() {
        assert!(Members::of(&raw(r#"["a"]"#)).is_none());
        assert!(Members::of(&raw("7")).is_none());
    }
}
