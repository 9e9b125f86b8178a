//! Metadata comes back the same, natively or as text.

use proptest::prelude::*;
use serde_json::Value;

use crate::json::any_json;
use crate::payload::{read, store};

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
        // As native values these small lists exceed 400 KB; their text does not.
        format!(r#"{{"lists":[{lists}]}}"#),
    ] {
        assert_eq!(
            metadata_comes_back(&metadata).await,
            (metadata.clone(), true),
            "{metadata:.80}"
        );
    }
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
