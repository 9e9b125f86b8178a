//! Hostile content: stored and read back byte for byte, or refused with a reason; never half.

use crate::common::{self, send};
use ably_chat_exporter::ably::{Decoder, Outcome};
use ably_chat_exporter::chat::{ChatEvent, Data, JsonText, RoomName, Serial};
use ably_chat_exporter::ingest::Report;
use ably_chat_exporter::store::{
    Direction, ReactionClients, Reactions, Settings, Store, StoredMessage, differences,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::Engine;

/// A payload of one message in room `r` with serial `1`, from the text of its further members.
fn payload(members: &str) -> String {
    format!(
        r#"{{"channel":"r::$chat","messages":[{{"name":"chat.message","serial":"1",{members}}}]}}"#
    )
}

async fn store(members: &str) -> (Engine, Store, Report) {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, Settings::default());
    let report = send(&ingest, "d", payload(members).as_bytes()).await;
    (engine, ingest.store, report)
}

async fn read(store: &Store, serial: &str) -> StoredMessage {
    let found = store.message(&RoomName("r".into()), &Serial(serial.into())).await;
    found.expect("a read").expect("a message")
}

/// Stores metadata given as JSON text, and reads it back as text.
async fn metadata_comes_back(metadata: &str) -> (String, bool) {
    let (engine, store, report) =
        store(&format!(r#""data":{{"text":"t","metadata":{metadata}}}"#)).await;
    assert_eq!(report.failed, [], "{metadata:.80}");
    assert_eq!(engine.rows().await.len(), 2);
    let as_text = engine.rows().await[0].contains_key("metadataJson");
    (read(&store, "1").await.message.metadata.as_str().to_owned(), as_text)
}

#[tokio::test]
async fn metadata_that_dynamodb_holds_is_native_and_comes_back_the_same() {
    let wide: Vec<String> = (0..5_000).map(|n| format!(r#""key{n:05}":{n}"#)).collect();
    for metadata in [
        "{}".to_owned(),
        r##"{"#a.b":1,":c":[],"__proto__":{"admin":true},"constructor":null}"##.to_owned(),
        r#"{"nul":"a\u0000b","quote":"\"","slash":"\\","é":"🙂"}"#.to_owned(),
        format!(r#"{{"long":"{}"}}"#, "x".repeat(250 * 1024)),
        format!("{}0{}", r#"{"level":"#.repeat(31), "}".repeat(31)),
        format!("{{{}}}", wide.join(",")),
        r#"{"n":-1.5,"z":0,"big":99999999999999999999999999999999999999}"#.to_owned(),
    ] {
        let (found, as_text) = metadata_comes_back(&metadata).await;
        let parsed = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(parsed(&found), parsed(&metadata), "{metadata:.80}");
        assert!(!as_text, "{metadata:.80}");
    }
}

#[tokio::test]
async fn metadata_that_it_does_not_hold_is_kept_as_text_byte_for_byte() {
    let digits = "1234567890".repeat(6);
    let lists = vec!["[]"; 110_000].join(",");
    for metadata in [
        format!("{}0{}", r#"{"level":"#.repeat(32), "}".repeat(32)),
        format!("{}0{}", r#"{"level":"#.repeat(40), "}".repeat(40)),
        format!("{}0{}", r#"{"level":"#.repeat(10_000), "}".repeat(10_000)),
        r#"{"huge":1e300,"tiny":1e-300}"#.to_owned(),
        format!(r#"{{"long":{digits}}}"#),
        r#"{"one":1.0,"zero":-0,"exponent":1E2}"#.to_owned(),
        r#"{"":"an empty name"}"#.to_owned(),
        r#"{"twice":1,"twice":2}"#.to_owned(),
        r#"{"lone":"\ud83d"}"#.to_owned(),
        format!(r#"{{"{}":1}}"#, "n".repeat(70_000)),
        // Natively, so many small lists would pass 400 KB; their text does not.
        format!(r#"{{"lists":[{lists}]}}"#),
    ] {
        assert_eq!(
            metadata_comes_back(&metadata).await,
            (metadata.clone(), true),
            "{metadata:.80}"
        );
    }
}

#[tokio::test]
async fn what_passes_400_kb_in_any_form_is_refused_whole() {
    let room = "r".repeat(2_048);
    let sizes = [399_000_usize, 409_000, 409_300, 409_400, 409_500, 409_600, 450_000, 6_000_000];
    let (mut stored, mut refused) = (0, 0);
    for size in sizes {
        let engine = Engine::start().await;
        let ingest = common::ingest(&engine, Settings::default());
        let text = "x".repeat(size);
        let body = json!({"channel": format!("{room}::$chat"), "messages": [
            {"name": "chat.message", "serial": "1", "data": {"text": text}},
            {"name": "chat.message", "serial": "2", "data": {"text": "a neighbour"}},
        ]});
        let report = send(&ingest, "d", body.to_string().as_bytes()).await;
        let rows = engine.rows().await.len();
        match &report.failed[..] {
            [] => assert_eq!((report.stored, rows), (2, 4), "{size}"),
            [failure] => {
                assert!(failure.reason.contains("DynamoDB takes 409600"), "{}", failure.reason);
                assert_eq!((report.stored, rows), (1, 2), "never half of a message: {size}");
            }
            more => panic!("{more:?}"),
        }
        stored += usize::from(report.failed.is_empty());
        refused += report.failed.len();
    }
    assert!(stored > 0 && refused > 0, "the limit lies between these sizes");
}

#[tokio::test]
async fn a_payload_that_is_not_chat_is_kept_in_wire_form() {
    let text = |text: &str, encoding: Option<&str>| {
        (Data::Text(text.into()), encoding.map(ToOwned::to_owned))
    };
    let table = [
        (r#""data":"just text""#, text("just text", None)),
        (r#""data":"{\"text\":\"t\"}""#, text(r#"{"text":"t"}"#, None)),
        (r#""data":[1,2]"#, text("[1,2]", Some("json"))),
        (r#""data":5.50"#, text("5.50", Some("json"))),
        (r#""data":true"#, text("true", Some("json"))),
        (r#""data":{}"#, text("{}", Some("json"))),
        (r#""data":{"text":5}"#, text(r#"{"text":5}"#, Some("json"))),
        (r#""data":"{oops","encoding":"json""#, text("{oops", Some("json"))),
        (r#""data":"!","encoding":"json/base64""#, text("!", Some("json/base64"))),
        (
            r#""data":"eA","encoding":"json/rot13/base64""#,
            (Data::Bytes(b"x".to_vec()), Some("json/rot13".into())),
        ),
        (
            r#""data":"gA","encoding":"utf-8/base64""#,
            (Data::Bytes(vec![0x80]), Some("utf-8".into())),
        ),
        (
            r#""data":"gA","encoding":"vcdiff/base64""#,
            (Data::Bytes(vec![0x80]), Some("vcdiff".into())),
        ),
        (r#""data":"\ud83d""#, text(r#""\ud83d""#, Some("json"))),
        (r#""data":{"text":"half \ud83d"}"#, text(r#"{"text":"half \ud83d"}"#, Some("json"))),
    ];
    for (members, (data, encoding)) in table {
        let (_engine, store, report) = store(members).await;
        assert_eq!((report.stored, report.failed.len()), (1, 0), "{members}");
        let message = read(&store, "1").await.message;
        assert_eq!(message.text, "", "{members}");
        let raw = message.raw.unwrap_or_else(|| panic!("{members}: nothing kept"));
        assert_eq!((raw.data, raw.encoding), (data, encoding), "{members}");
    }
}

#[tokio::test]
async fn what_text_and_metadata_cannot_hold_is_kept_beside_them() {
    let (_engine, store, _) =
        store(r#""data":{"text":"t","metadata":"m","more":[1.0]},"encoding":"json""#).await;
    let message = read(&store, "1").await.message;
    assert_eq!((message.text.as_str(), message.metadata.as_str()), ("t", "{}"));
    let raw = message.raw.expect("the rest is kept");
    assert_eq!(raw.data, Data::Text(r#"{"metadata":"m","more":[1.0]}"#.into()));
    assert_eq!(raw.encoding.as_deref(), Some("json"));
}

/// The members that a message keeps aside, as the rows have them, and as a reader gets them.
async fn kept_aside(members: &str, settings: Settings) -> (Vec<String>, StoredMessage, Report) {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, settings);
    let report = send(&ingest, "d", payload(members).as_bytes()).await;
    assert_eq!((report.stored, report.failed.len()), (1, 0), "{members:.200}");
    let rows = engine.rows().await;
    let aside = |row: &testkit::Item| {
        let text = row.get("asideJson").map(|it| it.as_s().expect("text").clone());
        text.unwrap_or_else(|| format!("{:?}", row.get("aside")))
    };
    (rows.iter().map(aside).collect(), read(&ingest.store, "1").await, report)
}

#[tokio::test]
async fn regression_members_that_no_field_holds_were_refused_or_dropped() {
    let members = r#""data":{"text":"t"},"clientId":"half \ud83d",
        "extras":{"headers":["x"],"new":1.0},
        "version":{"metadata":"m","pinned":true},"annotations":7"#;
    let (rows, found, report) = kept_aside(members, Settings::default()).await;
    assert_eq!(report.odd.len(), 1);
    let (room, serial, odd) = &report.odd[0];
    assert_eq!((room, serial), (&Some(RoomName("r".into())), &Some(Serial("1".into()))));
    assert_eq!(odd[..], ["annotations", "headers", "clientId", "version.metadata"]);
    let kept = [
        r#"{"annotations":7,"clientId":"half \ud83d","extras.new":1.0,"headers":["x"]"#,
        r#""version.metadata":"m","version.pinned":true}"#,
    ];
    let kept = kept.join(",");
    assert_eq!(rows, [kept.as_str(), &kept]);
    assert_eq!((found.message.text.as_str(), found.message.client_id.as_str()), ("t", ""));
    let shown = serde_json::to_string(&found).expect("JSON");
    assert!(shown.contains(&format!(r#""aside":{kept}"#)), "{shown}");

    let members = r#""data":{"text":"t"},"version":{"pinned":{"by":"ana"}}"#;
    let (rows, found, report) = kept_aside(members, Settings::default()).await;
    assert!(report.odd.is_empty(), "an unknown member is nothing to warn of");
    assert!(rows.iter().all(|row| row.contains("version.pinned")), "natively: {rows:?}");
    assert_eq!(found.message.aside["version.pinned"].as_str(), r#"{"by":"ana"}"#);

    let (_, found, _) = kept_aside(r#""data":{"text":"t"}"#, Settings::default()).await;
    let shown = serde_json::to_string(&found).expect("JSON");
    assert!(!shown.contains("aside"), "receipts are over this JSON: {shown}");
}

/// Else every look would find a difference that no repair mends.
#[tokio::test]
async fn what_a_row_could_not_keep_aside_is_no_difference() {
    let (_, found, _) = kept_aside(r#""unknown":1,"userClaim":2"#, Settings::default()).await;
    let one = found.message;
    let with = |name: &str, json: &str| {
        let mut other = one.clone();
        other.aside.insert(name.into(), JsonText::parse(json.into()).expect("JSON"));
        differences(&one, &other)
    };
    assert_eq!(with("version.new", "3"), [""; 0], "what one form does not have");
    assert_eq!(with("unknown", "null"), [""; 0], "what had no room, or may name clients");
    assert_eq!(with("unknown", "2"), [""; 0]);
    let (_, mut found, _) = kept_aside(r#""extras":{"new":1}"#, Settings::default()).await;
    let one = found.message.clone();
    found.message.aside.insert("extras.new".into(), JsonText::parse("1.0".into()).expect("JSON"));
    assert_eq!(differences(&one, &found.message), [""; 0], "the same number");
    found.message.aside.insert("extras.new".into(), JsonText::parse("2".into()).expect("JSON"));
    assert_eq!(differences(&one, &found.message), ["aside"]);
}

#[tokio::test]
async fn what_is_kept_aside_goes_with_the_content_of_a_deletion() {
    let members =
        r#""action":2,"version":{"serial":"2","why":"spam"},"extras":{"headers":"x","more":"y"}"#;
    let (_, found, _) = kept_aside(members, Settings::default()).await;
    assert_eq!(found.message.aside.keys().collect::<Vec<_>>(), ["version.why"]);
}

#[tokio::test]
async fn what_is_kept_aside_never_keeps_a_message_out() {
    let text = "x".repeat(200_000);
    for member in ["annotations", "unknown"] {
        let members = format!(r#""data":{{"text":"{text}"}},"{member}":["{text}{text}"]"#);
        let (rows, found, _) = kept_aside(&members, Settings::default()).await;
        assert_eq!(rows[0], format!(r#"{{"{member}":null}}"#), "its name is left");
        assert_eq!(found.message.text.len(), 200_000);
    }
    let name = "n".repeat(70_000);
    let members = format!(r#""data":{{"text":"t"}},"version":{{"{name}":1}}"#);
    let (_, found, _) = kept_aside(&members, Settings::default()).await;
    assert_eq!(found.message.aside.len(), 1, "a name that no attribute can have");
}

#[tokio::test]
async fn room_names_are_opaque() {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, Settings::default());
    let names = [
        "a#b",
        "a",
        "a::b",
        "a/b",
        "a::$chat",
        "..",
        "%2F",
        "ü 🙂",
        "a#message#1",
        &"r".repeat(2_048),
    ];
    for name in names {
        let body = json!({"channel": format!("{name}::$chat"), "messages": [
            {"name": "chat.message", "serial": "1", "data": {"text": name}}]});
        assert_eq!(send(&ingest, "d", body.to_string().as_bytes()).await.stored, 1, "{name:.20}");
    }
    for name in names {
        let room = common::whole_room(&ingest.store, name, Direction::NewestFirst, 5).await;
        assert_eq!(room.iter().map(|m| m.message.text.as_str()).collect::<Vec<_>>(), [name]);
    }
    let body = json!({"channel": format!("{}::$chat", "r".repeat(2_049)), "messages": [
        {"name": "chat.message", "serial": "1"}]});
    let report = send(&ingest, "d", body.to_string().as_bytes()).await;
    assert!(report.failed[0].reason.contains("room name has 2049 bytes"), "{report:?}");
}

fn summary(summary: &Value) -> String {
    format!(r#""action":4,"annotations":{{"summary":{summary}}}"#)
}

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
async fn totals_name_nobody() {
    let engine = Engine::start().await;
    let settings = Settings {
        reaction_clients: ReactionClients::Totals,
        reactions: Reactions::Snapshots,
        ..Settings::default()
    };
    let ingest = common::ingest(&engine, settings);
    let members = summary(&json!({
        "reaction:distinct.v1": {"a": {"total": 1, "clientIds": ["somebody"]}},
        "reaction:multiple.v1": {"b": {"total": 3, "clientIds": {"somebody": 3}, "totalClientIds": 1}},
        "poll:flag.v1": {"total": 1, "clientIds": ["somebody"]},
    }));
    assert_eq!(send(&ingest, "d", payload(&members).as_bytes()).await.stored, 1);
    let rows = format!("{:?}", engine.rows().await);
    assert!(!rows.contains("somebody"), "{rows}");
    assert!(rows.contains("poll:flag.v1") && rows.contains("totalClientIds"), "{rows}");
}

#[tokio::test]
async fn regression_totals_named_clients_in_what_was_not_known() {
    let settings = Settings {
        reaction_clients: ReactionClients::Totals,
        reactions: Reactions::Snapshots,
        ..Settings::default()
    };
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, settings);
    let members = summary(&json!({
        "reaction:distinct.v1": {"a": {"total": 1, "names": ["somebody"], "last": "somebody",
                                       "by": {"somebody": 1}, "unseen": 3}},
        "reaction:unique.v1": {"b": ["somebody"], "c": "somebody"},
        "poll:flag.v1": [{"clientIds": ["somebody"]}],
        "poll:new.v2": {"d": {"total": 2, "by": {"somebody": 2}, "names": ["somebody"]}},
    }));
    let odd =
        r#""annotations":[{"clientIds":["somebody"]}],"reactedBy":"somebody","clientId":"ana""#;
    for (id, members) in [("d", members), ("e", odd.into()), ("f", format!(r#""action":4,{odd}"#))]
    {
        let report = send(&ingest, id, payload(&members).as_bytes()).await;
        assert_eq!((report.stored, report.failed.len()), (1, 0), "{members}");
        let rows = format!("{:?}", engine.rows().await);
        assert!(!rows.contains("somebody"), "{rows}");
    }
    let rows = format!("{:?}", engine.rows().await);
    assert!(rows.contains("unseen") && rows.contains("poll:new.v2"), "{rows}");
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

#[tokio::test]
async fn retention_counts_from_creation_or_else_from_arrival() {
    let engine = Engine::start().await;
    let settings = Settings { retention_days: Some(2), ..Settings::default() };
    let ingest = common::ingest(&engine, settings);
    send(&ingest, "c", payload(r#""timestamp":86400999,"action":0"#).as_bytes()).await;
    send(&ingest, "d", payload(&summary(&json!({}))).as_bytes()).await;
    let two_days = 2 * 86_400;
    for row in engine.rows().await {
        let expires_at: i64 = row["expiresAt"].as_n().expect("a number").parse().expect("seconds");
        let is_summary = row["sk"].as_s().expect("a key").starts_with("reactions#");
        let created = if is_summary { common::EPOCH / 1_000 } else { 86_400 };
        assert_eq!(expires_at, created + two_days);
    }
}

#[tokio::test]
async fn a_thousand_messages_and_six_megabytes_in_one_payload() {
    let engine = Engine::start().await;
    let ingest = common::ingest(&engine, Settings::default());
    let text = "x".repeat(6_000);
    let messages: Vec<_> = (0..1_000)
        .map(|n| json!({"name": "chat.message", "serial": format!("{n:04}"), "data": {"text": text}}))
        .collect();
    let body = json!({"channel": "r::$chat", "messages": messages}).to_string();
    assert!(body.len() > 6_000_000);
    let report = send(&ingest, "d", body.as_bytes()).await;
    assert_eq!((report.received, report.stored, report.failed.len()), (1_000, 1_000, 0));
    let room = common::whole_room(&ingest.store, "r", Direction::OldestFirst, 300).await;
    assert_eq!(room.len(), 1_000);
}

/// Any JSON, as text: what a client may put in `metadata`.
fn any_json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("JSON has no infinities", |n| n.is_finite())
            .prop_map(|n| format!("{n:?}")),
        "-?[1-9][0-9]{0,60}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
    ];
    let text = any::<String>().prop_map(|text| Value::from(text).to_string());
    let leaf = prop_oneof![number, text, Just("null".into()), Just("true".into())];
    leaf.prop_recursive(6, 40, 5, |inner| {
        let members = proptest::collection::vec((any::<String>(), inner.clone()), 0..5);
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(|v| format!("[{}]", v.join(","))),
            members.prop_map(|members| {
                let members =
                    members.iter().map(|(name, v)| format!("{}:{v}", Value::from(name.as_str())));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// Sorts the members of every object, and touches nothing else: not a digit of a number.
fn sorted(json: &str) -> String {
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;
    if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json) {
        let members = members
            .iter()
            .map(|(name, v)| format!("{}:{}", Value::from(name.as_str()), sorted(v.get())));
        return format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    }
    match serde_json::from_str::<Vec<&RawValue>>(json) {
        Ok(values) => {
            let values: Vec<_> = values.iter().map(|value| sorted(value.get())).collect();
            format!("[{}]", values.join(","))
        }
        Err(_) => json.to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_metadata_comes_back(value in any_json()) {
        let metadata = format!(r#"{{"value":{value}}}"#);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (found, as_text) = runtime.block_on(metadata_comes_back(&metadata));
        if as_text {
            prop_assert_eq!(found, metadata);
        } else {
            prop_assert_eq!(sorted(&found), sorted(&metadata));
        }
    }
}

/// An envelope in MessagePack, its metadata not as JSON text but as MessagePack's own values.
fn packed(metadata: &str) -> Vec<u8> {
    let metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
    let message = json!({"name": "chat.message", "serial": "1", "timestamp": 1,
                         "data": {"text": "t", "metadata": {"value": metadata}}});
    let envelope = json!({"channel": "r::$chat", "messages": [message]});
    rmp_serde::to_vec(&envelope).expect("MessagePack holds what JSON does")
}

fn metadata_of(body: &[u8]) -> Option<String> {
    let entry = Decoder::default().decode(body).ok()?.pop()?;
    match entry.outcome {
        Outcome::Event(ChatEvent::Version(message, _)) => Some(message.metadata.as_str().into()),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// What JSON can say, MessagePack says the same: numbers by their value, for it has no digits.
    #[test]
    fn messagepack_says_what_json_says(value in any_json()) {
        let found = metadata_of(&packed(&value)).expect("a message");
        let expected: Value = serde_json::from_str(&value).unwrap_or_default();
        let found: Value = serde_json::from_str(&found).expect("JSON");
        prop_assert!(same(&found["value"], &expected), "{} {expected}", found["value"]);
    }

    /// Cut short, overwritten, or nothing but noise: an answer, and never a panic.
    #[test]
    fn broken_messagepack_is_refused_or_read(
        value in any_json(),
        cut in 0..400_usize,
        changes in proptest::collection::vec((0..400_usize, any::<u8>()), 0..4),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let whole = packed(&value);
        let mut broken = whole[..cut.min(whole.len())].to_vec();
        if cut < whole.len() {
            prop_assert!(Decoder::default().decode(&broken).is_err(), "half an event is none");
        }
        for (place, byte) in changes {
            if let Some(old) = broken.get_mut(place) {
                *old = byte;
            }
        }
        for body in [broken, noise.clone(), [&[0x82][..], &noise].concat()] {
            if let Err(error) = Decoder::default().decode(&body) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// Whether two values are the same, numbers but for the last digits: the test's own reader is not
/// exact in those.
fn same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => {
            let [one, two] = [one, two].map(|number| number.as_f64().unwrap_or(f64::NAN));
            (one - two).abs() <= 1e-12 * one.abs().max(two.abs())
        }
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
        }
        (Value::Object(one), Value::Object(two)) => {
            let names = one.keys().eq(two.keys());
            names && one.iter().all(|(name, value)| same(value, &two[name]))
        }
        (one, two) => one == two,
    }
}
