//! `REACTION_CLIENTS=totals` names nobody.

use ably_chat_exporter::store::{KeepReactions, ReactionClients, Settings};
use serde_json::json;
use testkit::Engine;

use crate::common::{self, send};
use crate::payload::{payload, summary};

#[tokio::test]
async fn totals_name_nobody() {
    let engine = Engine::start().await;
    let settings = Settings {
        reaction_clients: ReactionClients::Totals,
        reactions: KeepReactions::Snapshots,
        ..Settings::default()
    };
    let ingest = common::ingest(&engine, settings);
    let members = summary(&json!({
        "reaction:distinct.v1": {"a": {"total": 1, "clientIds": ["somebody"]}},
        "reaction:multiple.v1": {
            "b": {"total": 3, "clientIds": {"somebody": 3}, "totalClientIds": 1}},
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
        reactions: KeepReactions::Snapshots,
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
