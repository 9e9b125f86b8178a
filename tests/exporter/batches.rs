//! What each event source is answered, by the byte, and what is in the table then.

use serde_json::Value;

use crate::common::function::{error, sample};
use crate::common::sources::Source;
use crate::world::{World, assert_well, bad, failures, good, status};

#[tokio::test]
async fn a_permanent_failure_is_parked_and_its_neighbours_are_stored() {
    for source in Source::BATCHES {
        let world = World::start().await;
        let answer = world.send(source.event(&[good("1"), bad("2"), good("3")])).await;
        assert_well(source, &answer);
        assert_eq!(world.texts().await, ["text of 1", "text of 3"], "{source:?}");
        let parked = world.parked();
        assert_eq!(parked.len(), 1, "{source:?}");
        let provenance = &parked[0]["parked"];
        assert_eq!(provenance["source"], source.name());
        assert!(provenance["sourceArn"].as_str().unwrap().starts_with("arn:aws:"), "{source:?}");
        assert_eq!(provenance["recordId"], source.id(1));
        assert_eq!(provenance["errorType"], "NonRetryable");
        let reason = r#"room "r" serial "2": $.messages[0].action: unknown action 77"#;
        assert_eq!(provenance["reason"], reason);
        assert_eq!(provenance["functionVersion"], "$LATEST");
        let (received, parked_at) = (&provenance["receivedAt"], &provenance["parkedAt"]);
        assert!(received.as_i64().unwrap() <= parked_at.as_i64().unwrap());
        assert!(received.as_i64().unwrap() > 1_700_000_000_000);
        assert_eq!(parked[0]["body"].as_str().unwrap().as_bytes(), bad("2"), "{source:?}");
        assert_eq!(parked[0].as_object().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn without_a_failure_queue_what_is_bad_goes_back_to_its_source() {
    for (source, named) in [
        (Source::Sqs, &["record-1"][..]),
        (Source::SqsFifo, &["record-1", "record-2"]),
        (Source::Kinesis, &["record-1"]),
    ] {
        let world = World::without_failure_queue().await;
        let event = source.event(&[good("1"), bad("2"), good("3")]);
        assert_eq!(world.send(event).await, failures(named), "{source:?}");
        assert_eq!(world.texts().await, ["text of 1", "text of 3"], "{source:?}");
    }
    for source in [Source::Kafka, Source::RabbitMq] {
        let world = World::without_failure_queue().await;
        let answer = world.send(source.event(&[good("1"), bad("2"), good("3")])).await;
        let (kind, reason) = error(&answer);
        assert_eq!(kind, "NonRetryable");
        assert!(reason.starts_with(r#"1 of 3 not stored; room "r" serial "2": "#), "{reason}");
        assert_eq!(world.texts().await, ["text of 1", "text of 3"], "{source:?}");
    }
    let world = World::without_failure_queue().await;
    assert_eq!(status(&world.send(Source::FunctionUrl.event(&[bad("2")])).await), 500);
}

#[tokio::test]
async fn all_good_and_all_bad() {
    for source in Source::ALL {
        let world = World::start().await;
        let three = |make: fn(&str) -> Vec<u8>| ["1", "2", "3"].map(make);
        assert_well(source, &world.send(source.event(&three(good))).await);
        assert_eq!(world.parked(), Vec::<Value>::new());
        let stored = world.engine.rows().await;
        let count = if source == Source::FunctionUrl { 1 } else { 3 };
        assert_eq!(stored.len(), 2 * count, "{source:?}");

        assert_well(source, &world.send(source.event(&three(bad))).await);
        assert_eq!(world.parked().len(), count, "{source:?}");
        assert_eq!(world.engine.rows().await, stored, "{source:?}");
    }
}

/// Lambda takes an answer that it does not know for success: not a byte may be off.
#[tokio::test]
async fn answers_are_what_aws_documents_byte_for_byte() {
    let world = World::without_failure_queue().await;
    let sent = async |event: Vec<u8>| {
        world.send(event).await;
        String::from_utf8(world.api.last_response().to_vec()).expect("UTF-8")
    };
    let none = r#"{"batchItemFailures":[]}"#;
    let one = r#"{"batchItemFailures":[{"itemIdentifier":"record-1"}]}"#;
    let two =
        r#"{"batchItemFailures":[{"itemIdentifier":"record-1"},{"itemIdentifier":"record-2"}]}"#;
    for source in Source::BATCHES {
        assert_eq!(sent(source.event(&[good("1")])).await, none, "{source:?}");
    }
    let mixed = [good("1"), bad("2"), bad("3")];
    assert_eq!(sent(Source::Sqs.event(&mixed)).await, two);
    assert_eq!(sent(Source::Kinesis.event(&mixed)).await, one, "it goes on from there");
    let report = r#"{\"received\":1,\"stored\":0,\"superseded\":1,\"skipped\":{},\"failed\":[]}"#;
    assert_eq!(
        sent(Source::FunctionUrl.event(&[good("1")])).await,
        format!(
            concat!(
                r#"{{"statusCode":200,"headers":{{"content-type":"application/json"}},"#,
                r#""body":"{report}","isBase64Encoded":false}}"#
            ),
            report = report
        )
    );
    assert_eq!(
        sent(sample("deliveries/alb-multi-value")).await,
        concat!(
            r#"{"statusCode":401,"statusDescription":"401 Unauthorized","#,
            r#""multiValueHeaders":{"content-type":["application/json"]},"#,
            r#""body":"{\"error\":\"not authenticated\"}","isBase64Encoded":false}"#
        )
    );
}

#[tokio::test]
async fn duplicates_change_nothing() {
    for source in Source::ALL {
        let world = World::start().await;
        let once = source.event(&[good("1"), good("2")]);
        assert_well(source, &world.send(once.clone()).await);
        let stored = world.engine.rows().await;
        assert_well(source, &world.send(once).await);
        assert_well(source, &world.send(source.event(&[good("1"), good("1"), good("2")])).await);
        assert_eq!(world.engine.rows().await, stored, "{source:?}");
    }
}
