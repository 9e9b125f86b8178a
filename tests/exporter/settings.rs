//! Settings that are wrong, and what some of them do.

use aws_sdk_dynamodb::types::ScalarAttributeType;
use serde_json::json;
use testkit::{Answer, Engine, RuntimeApi, Services};

use crate::common::function::{TIMEOUT, error, run, sample, spawn};
use crate::common::sources::Source;
use crate::world::{failures, good};

#[tokio::test]
async fn wrong_settings_stop_the_start_and_are_all_named() {
    let engine = Engine::start().await;
    let api = RuntimeApi::start().await;
    let wrong = [("TABLE_NAME", ""), ("VERSIONS", "some"), ("ROOM_FILTER", "[")];
    let (status, log) = spawn(&api, &engine.env(), &wrong).wait().await;
    assert!(!status.success());
    assert_eq!(api.polls(), 0);
    for name in ["TABLE_NAME is not set", "VERSIONS: expected one of", "ROOM_FILTER: not a"] {
        assert!(log.contains(name), "{name} in {log}");
    }
}

#[tokio::test]
async fn a_missing_table_is_named_with_the_action() {
    let engine = Engine::start().await;
    let (answers, _) = run(&engine, &[("TABLE_NAME", "nowhere")], &[sample("create")]).await;
    let (kind, message) = error(&answers[0]);
    assert_eq!(kind, "Retryable", "the record is not at fault");
    let expected = "dynamodb:PutItem on table \"nowhere\": ResourceNotFoundException";
    assert!(message.contains(expected), "{message}");
}

/// A table with other keys is a wrong setting, and no record's fault: each was parked, or refused.
#[tokio::test]
async fn regression_a_wrong_table_makes_no_record_permanently_wrong() {
    let numbers = ScalarAttributeType::N;
    let tables = [
        ("other-keys", [("id", ScalarAttributeType::S), ("range", ScalarAttributeType::S)]),
        ("other-types", [("pk", ScalarAttributeType::S), ("sk", numbers)]),
    ];
    let engine = Engine::start().await;
    for (name, keys) in &tables {
        engine.add_table(name, keys).await;
    }
    let names = tables.map(|(name, _)| name).into_iter().chain(["no table's name"]);
    for table in names {
        let (services, api) = (Services::start().await, RuntimeApi::start().await);
        let env = [engine.env(), services.env()].concat();
        let queue = services.queue_url();
        let settings = [("TABLE_NAME", table), ("FAILURE_QUEUE_URL", queue.as_str())];
        let _function = spawn(&api, &env, &settings);
        let answer = api.invoke(Source::Sqs.event(&[good("1")]), TIMEOUT).await;
        assert_eq!(answer, failures(&["record-0"]), "{table}");
        assert_eq!(services.messages(), Vec::<String>::new(), "{table}");
        let answer = api.invoke(good("1"), TIMEOUT).await;
        let (kind, reason) = error(&answer);
        assert_eq!(kind, "Retryable", "{table}: {reason}");
        let expected = "TABLE_NAME must name a table with the keys pk and sk, both strings";
        assert!(reason.contains(expected), "{reason}");
    }
}

#[tokio::test]
async fn rooms_outside_the_filter_are_skipped() {
    let engine = Engine::start().await;
    let (answers, _) = run(&engine, &[("ROOM_FILTER", "^lobby$")], &[sample("batch")]).await;
    let Answer::Response(report) = &answers[0] else { panic!("{answers:?}") };
    assert_eq!(report["stored"], 1);
    assert_eq!(report["skipped"], json!({"presence": 1, "roomFilter": 1}));
    let (answers, _) = run(&engine, &[("ROOM_FILTER", "^lobby$")], &[sample("append")]).await;
    let Answer::Response(report) = &answers[0] else { panic!("{answers:?}") };
    assert_eq!(report["skipped"], json!({"roomFilter": 1}), "not even a failure is wanted");
}
