//! Reactions: every spelling is read, and replaces what was there.

use ably_chat_exporter::store::Settings;
use serde_json::{Value, json};
use testkit::Engine;

use crate::common::{self, send};
use crate::payload::{payload, read, summary};

#[tokio::test]
async fn reaction_names_are_opaque_and_every_spelling_is_read() {
    let one = json!({"total": 1, "clientIds": ["x"]});
    let reactions = json!({
        "reaction:distinct.v1": {"#a.b": one, "__proto__": one, "values": one, ":p": one, "🙂": one},
        "reaction:unique.v1": {"values": {"like": {"count": 2}}},
        "reaction:multiple.v1": {"🔥": {"total": 3, "clientCounts": {"": 3}}},
        "reaction:future.v9": {"deep": [[[]]]},
    });
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, Settings::default());
    let create = payload(r#""data":{"text":"t"}"#);
    assert_eq!(send(&ingest, "c", create.as_bytes()).await.stored, 1);
    let report = send(&ingest, "d", payload(&summary(&reactions)).as_bytes()).await;
    assert_eq!((report.stored, report.failed.len()), (1, 0));
    let found = read(&ingest.store, "1").await;
    let names: Vec<_> = found.reactions.distinct.keys().map(String::as_str).collect();
    assert_eq!(names, ["#a.b", ":p", "__proto__", "values", "🙂"]);
    assert_eq!(found.reactions.unique["like"].total, 2);
    assert_eq!(found.reactions.multiple["🔥"].client_ids[""], 3);
    assert_eq!(found.annotations["reaction:future.v9"].as_str(), r#"{"deep":[[[]]]}"#);

    // An empty name, a type of an unknown shape, nothing at all: replaced, never merged.
    let odd = json!({"reaction:distinct.v1": {"": one}, "reaction:unique.v1": "odd"});
    assert_eq!(send(&ingest, "e", payload(&summary(&odd)).as_bytes()).await.stored, 1);
    let found = read(&ingest.store, "1").await;
    assert_eq!(found.reactions.distinct.keys().collect::<Vec<_>>(), [""]);
    assert_eq!(found.annotations["reaction:unique.v1"].as_str(), r#""odd""#);
    assert_eq!(send(&ingest, "f", payload(r#""action":4"#).as_bytes()).await.stored, 1);
    assert!(read(&ingest.store, "1").await.reactions.distinct.is_empty());
}

#[tokio::test]
async fn regression_unknown_members_of_a_reaction_were_dropped() {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, Settings::default());
    let one = r#"{"total":1,"clientIds":["x"],"more":{"deep":[1.50]},"since":7}"#;
    let each = r#"{"total":3,"clientIds":{"x":3},"more":[true]}"#;
    let distinct = format!(r#""reaction:distinct.v1":{{"a":{one}}}"#);
    let multiple = format!(r#""reaction:multiple.v1":{{"b":{each}}}"#);
    let members = format!(r#""action":4,"annotations":{{"summary":{{{distinct},{multiple}}}}}"#);
    send(&ingest, "c", payload(r#""data":{"text":"t"}"#).as_bytes()).await;
    assert_eq!(send(&ingest, "d", payload(&members).as_bytes()).await.stored, 1);
    let found = read(&ingest.store, "1").await.reactions;
    let shown = serde_json::to_string(&found).expect("JSON");
    for part in [r#""more":{"deep":[1.50]},"since":7"#, r#""more":[true]"#, r#""total":1"#] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!((found.distinct["a"].total, found.multiple["b"].total), (1, 3));
}

#[tokio::test]
async fn regression_an_empty_ride_kept_a_fuller_one_out() {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, Settings::default());
    let ride = |version: &str, summary: &Value| {
        payload(&format!(
            r#""version":{{"serial":"{version}"}},"annotations":{{"summary":{summary}}}"#
        ))
    };
    send(&ingest, "c", ride("1", &json!({})).as_bytes()).await;
    assert_eq!(engine.rows().await.len(), 2, "a row of nothing");
    let fuller = json!({"reaction:distinct.v1": {"a": {"total": 2}}});
    send(&ingest, "d", ride("2", &fuller).as_bytes()).await;
    assert_eq!(read(&ingest.store, "1").await.reactions.distinct["a"].total, 2);
    // An event of its own right says that none is left.
    send(&ingest, "e", payload(&summary(&json!({}))).as_bytes()).await;
    assert!(read(&ingest.store, "1").await.reactions.distinct.is_empty());
}
