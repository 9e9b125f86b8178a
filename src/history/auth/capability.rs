//! Capabilities: which operations are allowed on which rooms (Ably docs, "Capabilities"; the rules
//! that the page leaves out are those of Ably's open-source `ably-server`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::request::Operation;
use crate::ably::channel_of;
use crate::chat::RoomName;

/// Rights of a key or a token: resources, and the operations allowed on each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Capability(BTreeMap<String, Vec<String>>);

impl Capability {
    /// What a key has unless its owner took some of it away.
    pub(super) fn all() -> Self {
        Self(BTreeMap::from([("[*]*".into(), vec!["*".into()])]))
    }

    /// Reads the JSON text that a token carries.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whether `operation` is allowed in `room`. The rights of all matching resources add up.
    /// Resources name rooms (Ably docs, "Chat authentication"); that one may also name a room's
    /// channel, no page says or denies.
    pub(super) fn allows(&self, room: &RoomName, operation: Operation) -> bool {
        let is_allowed = |allowed: &String| operation.is_allowed_by(allowed);
        let channel = channel_of(room);
        self.0
            .iter()
            .filter(|(_, operations)| operations.iter().any(is_allowed))
            .any(|(resource, _)| matches(resource, &room.0) || matches(resource, &channel))
    }
}

/// Whether a resource matches a name. Without a qualifier it matches no name that has one: these
/// are metachannels, queues and the like. `[chat]` is how rooms were written once (Ably docs, pull
/// request 2917).
fn matches(resource: &str, name: &str) -> bool {
    match resource.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some(("*", pattern)) => matches_segments(pattern, name),
        Some(("chat", pattern)) => !name.starts_with('[') && matches_segments(pattern, name),
        Some(_) => false,
        None => !name.starts_with('[') && matches_segments(resource, name),
    }
}

/// `*` stands for one whole segment; at the end for any number of them, none included.
fn matches_segments(pattern: &str, name: &str) -> bool {
    let mut segments = name.split(':');
    let mut patterns = pattern.split(':').peekable();
    while let Some(pattern) = patterns.next() {
        if pattern == "*" && patterns.peek().is_none() {
            return true;
        }
        match segments.next() {
            Some(segment) if pattern == "*" || pattern == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(capability: &str, room: &str) -> bool {
        let capability = Capability::parse(capability).expect("a capability");
        capability.allows(&RoomName(room.into()), Operation::History)
    }

    fn opens(resource: &str, room: &str) -> bool {
        allows(&serde_json::json!({ resource: ["history"] }).to_string(), room)
    }

    #[test]
    fn a_star_matches_every_room() {
        assert!(["a", "a:b:c", "", ":", "a b/ü", "*"].iter().all(|room| opens("*", room)));
        assert!(!opens("*", "[meta]log"));
    }

    #[test]
    fn a_star_at_the_end_stands_for_any_number_of_segments() {
        assert!(["dms:a", "dms:a:b", "dms"].iter().all(|room| opens("dms:*", room)));
        assert!(!["dmsx:a", "dmsx", "dm", "DMS:a", ""].iter().any(|room| opens("dms:*", room)));
    }

    #[test]
    fn a_star_in_the_middle_stands_for_one_segment() {
        assert!(opens("foo:*:baz", "foo:bar:baz"));
        for room in ["foo:bar:bam:baz", "foo:baz", "foo", "foo:bar", "foo:bar:baz:more"] {
            assert!(!opens("foo:*:baz", room), "{room}");
        }
        assert!(opens("*:baz", "foo:baz") && !opens("*:baz", "baz"));
        assert!(opens("foo:*:baz:*", "foo:bar:baz:a:b"));
    }

    #[test]
    fn a_star_within_a_segment_is_itself() {
        assert!(opens("foo*", "foo*"));
        assert!(!opens("foo*", "foo") && !opens("foo*", "foobar") && !opens("*foo", "foo"));
    }

    #[test]
    fn names_are_case_sensitive_and_no_prefixes() {
        assert!(opens("foo", "foo"));
        assert!(!opens("foo", "Foo") && !opens("foo", "foo2") && !opens("foo", "foo:bar"));
    }

    #[test]
    fn qualifiers_say_what_a_resource_is_for() {
        for room in ["a", "a:b", "[meta]log"] {
            assert!(opens("[*]*", room), "{room}");
            assert!(!opens("[meta]*", room) && !opens("[queue]*", room), "{room}");
        }
        assert!(opens("[*]foo", "foo") && !opens("[*]foo", "bar"));
        assert!(!opens("[meta", "foo") && !opens("[", "foo"));
    }

    #[test]
    fn the_older_form_of_rooms_is_taken() {
        assert!(opens("[chat]*", "a:b") && opens("[chat]foo", "foo"));
        assert!(!opens("[chat]foo", "bar") && !opens("[chat]*", "[meta]log"));
    }

    #[test]
    fn a_channels_name_opens_its_room() {
        assert!(opens("room::$chat", "room") && opens("room:*", "room"));
        assert!(opens("[chat]room::$chat", "room"));
        assert!(!opens("room::$chat", "roo") && !opens("room::$chat::$typing", "room"));
    }

    #[test]
    fn rights_of_all_matching_resources_add_up() {
        assert!(allows(r#"{"*":["publish"],"a:*":["history"]}"#, "a:b"));
        assert!(!allows(r#"{"*":["publish"],"a:*":["history"]}"#, "b"));
    }

    #[test]
    fn a_star_among_operations_is_all_of_them() {
        assert!(allows(r#"{"a":["publish","*"]}"#, "a"));
        for none in [r"{}", r#"{"a":[]}"#, r#"{"a":["subscribe","History","hist*"]}"#] {
            assert!(!allows(none, "a"), "{none}");
        }
        assert!(Capability::all().allows(&RoomName("a".into()), Operation::History));
    }

    #[test]
    fn what_is_no_capability_is_not_read() {
        for text in ["", "*", "[]", "null", r#"{"a":"history"}"#, r#"{"a":[1]}"#, r#"{"a":null}"#] {
            assert_eq!(Capability::parse(text), None, "{text}");
        }
    }
}
