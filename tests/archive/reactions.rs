//! Reactions, compared and repaired.

use std::time::Duration;

use ably_chat_exporter::store::Settings;
use ably_chat_exporter::time::now;
use serde_json::json;
use testkit::{Ably, Engine};

use crate::common::history::{Message, archive, check_room, reactions};
use crate::common::{ingest, serial};
use crate::program::{REPAIR, deliver, live, run, store};
use crate::rows::{delete, rows_of};

/// Reactions that were taken back are gone after a repair; newer ones than Ably's are not touched.
#[tokio::test]
async fn reactions_are_compared_and_mended() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all: Vec<Message> = (1..=3).map(|number| Message::new(number, 0, false, 0)).collect();
    for message in &all {
        message.publish(&ably, "r");
    }
    live(&engine, "r", &all).await;
    ably.react("r", &all[1].serial, reactions(2));
    deliver(&engine, [all[0].delivered_reactions("r", 1)]).await;
    // Arrived just now: Ably's history may lag behind it.
    let ingest = ingest(&engine, Default::default());
    let body = all[2].delivered_reactions("r", 3).to_string();
    let record = ably_chat_exporter::ingest::Record {
        id: "new",
        body: body.as_bytes(),
        received_at: now(),
        is_redelivery: false,
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    ingest.store_records(&[record], deadline).await;
    let repaired = run(&["reconcile", "--room", "r", "--repair"], &engine, &ably).await;
    assert_eq!((repaired.status, &repaired.summary()["reactions"]), (0, &json!(2)));
    let expected = [0, 2, 3].into_iter().zip(&all);
    let expected: Vec<_> =
        expected.map(|(reactions, message)| Message { reactions, ..message.clone() }).collect();
    check_room(&store(&engine), "r", &expected).await;
}

/// Live summaries may name no version. A repair does not put itself above all that come after it.
#[tokio::test]
async fn regression_reactions_do_not_freeze_after_a_repair() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let message = Message::new(1, 2, false, 0);
    message.publish(&ably, "r");
    live(&engine, "r", std::slice::from_ref(&message)).await;
    let summary = |total| {
        let mut delivered = message.delivered_reactions("r", total);
        delivered["messages"][0].as_object_mut().expect("an object").remove("version");
        delivered
    };
    let total = async || archive(&store(&engine), "r").await[&serial(1, 0)].reactions.clone();
    let total = async || total().await.map(|it| it.summary.reactions.distinct["👍"].total);
    for heard_before in [false, true] {
        if heard_before {
            deliver(&engine, [summary(1)]).await;
        }
        ably.react("r", &message.serial, reactions(2));
        assert_eq!(run(&REPAIR, &engine, &ably).await.status, 0);
        assert_eq!(total().await, Some(2));
        let ingest = ingest(&engine, Settings::default());
        let body = summary(3).to_string();
        let record = ably_chat_exporter::ingest::Record {
            id: "after",
            body: body.as_bytes(),
            received_at: now(),
            is_redelivery: false,
        };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        assert_eq!(ingest.store_records(&[record], deadline).await[0].stored, 1);
        assert_eq!(total().await, Some(3));
        delete(&engine, &rows_of(&engine, "reactions#").await[0]).await;
    }
}

/// An event whose summary cannot be read says nothing of what reactions are left.
#[tokio::test]
async fn regression_an_unreadable_summary_does_not_wipe_reactions() {
    let engine = Engine::start().await;
    let message = Message::new(1, 0, false, 2);
    live(&engine, "r", std::slice::from_ref(&message)).await;
    for odd in [json!([]), json!({"summary": 7})] {
        let mut event = message.delivered_reactions("r", 3);
        event["messages"][0]["annotations"] = odd;
        deliver(&engine, [event]).await;
        check_room(&store(&engine), "r", std::slice::from_ref(&message)).await;
    }
    let mut event = message.delivered_reactions("r", 3);
    event["messages"][0]["annotations"] = json!({"summary": {}});
    deliver(&engine, [event]).await;
    check_room(&store(&engine), "r", &[Message { reactions: 0, ..message }]).await;
}
