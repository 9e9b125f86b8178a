//! Summaries of reactions: events of their own, and those that ride on a version.

use ably_chat_exporter::ably::Verdict;
use ably_chat_exporter::chat::ChatEvent;
use serde_json::json;

use crate::reading::{chat, entry_of, outcome};

#[test]
fn summaries_are_read_from_either_place_and_only_on_action_4_does_absence_mean_none() {
    let summary = json!({"reaction:distinct.v1": {"a": {"total": 2}}});
    for message in [
        chat(&json!({"action": 4, "annotations": {"summary": summary}})),
        chat(&json!({"action": 4, "summary": summary})),
        chat(&json!({"action": 4, "annotations": {}, "summary": summary})),
    ] {
        let Verdict::Event(ChatEvent::Reactions(found)) = outcome(&message) else {
            panic!("{message}");
        };
        assert_eq!(found.summary.reactions.distinct["a"].total, 2);
    }
    let Verdict::Event(ChatEvent::Reactions(none)) = outcome(&chat(&json!({"action": 4}))) else {
        panic!("a summary");
    };
    assert_eq!(none.summary, ably_chat_exporter::chat::Summary::default());
    let Verdict::Event(ChatEvent::Version(_, riding)) = outcome(&chat(&json!({}))) else {
        panic!("a version");
    };
    assert_eq!(riding, None);
    let riding = chat(&json!({"action": 1, "annotations": {"summary": summary}}));
    assert!(matches!(outcome(&riding), Verdict::Event(ChatEvent::Version(_, Some(_)))));
}

#[test]
fn regression_an_empty_ride_was_a_summary() {
    for members in [
        r#""annotations":{"summary":{}}"#,
        r#""annotations":{"summary":{"reaction:unique.v1":{},"poll:flag.v1":{ }}}"#,
        r#""summary":{}"#,
    ] {
        let outcome = entry_of(members).verdict;
        assert!(matches!(outcome, Verdict::Event(ChatEvent::Version(_, None))), "{members}");
    }
    let outcome = entry_of(r#""action":4,"annotations":{"summary":{}}"#).verdict;
    assert!(matches!(outcome, Verdict::Event(ChatEvent::Reactions(_))), "an event still clears");
}
