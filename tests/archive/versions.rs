//! Versions that Ably lists late, or that are gone or altered in the table.

use std::collections::BTreeSet;

use ably_chat_exporter::chat::Serial;
use ably_chat_exporter::store::{KeepVersions, Settings};
use ably_chat_exporter::time::now;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use testkit::{Ably, Engine};

use crate::common::history::{Message, archive, check_room};
use crate::common::{ingest, send, serial};
use crate::program::{
    BACKFILL, RECONCILE, REPAIR, deliver, messages, run, store, version_of, with,
};
use crate::rows::{Tampering, altered, rows_of};

/// A message whose versions were all there is not asked about again; unless one has gone since.
#[tokio::test]
async fn regression_a_version_that_has_gone_is_found_again() {
    let world = Tampering::start(&[]).await;
    let [_, _, older] = world.rows_of_edited();
    world.delete(&older).await;
    let found = run(&["reconcile", "--room", "r"], &world.engine, &world.ably).await;
    let findings = found.events("finding");
    assert_eq!((found.status, findings.len()), (1, 1), "{findings:?}");
    assert_eq!(
        (&findings[0]["serial"], &findings[0]["gap"]),
        (&json!(world.edited.serial), &json!("missing"))
    );
}

/// A list of versions may lag behind the page, and one version behind another: a message that was
/// compared in such a moment is compared again.
#[tokio::test]
async fn regression_a_version_that_was_not_listed_yet_is_found_later() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let message = Message::new(1, 2, false, 0);
    message.publish(&ably, "r");
    let hidden: BTreeSet<_> = [version_of(&message, 1), version_of(&message, 2)].into();
    ably.behave(|it| it.unlisted = hidden);
    assert_eq!(run(&BACKFILL, &engine, &ably).await.status, 0);
    ably.behave(|it| it.unlisted = BTreeSet::new());
    let found = run(&RECONCILE, &engine, &ably).await;
    assert_eq!((found.status, found.events("finding").len()), (1, 1), "{:?}", found.lines);
    assert_eq!(found.events("finding")[0]["version"], json!(version_of(&message, 1)));
    assert_eq!(run(&REPAIR, &engine, &ably).await.status, 0);
    check_room(&store(&engine), "r", &[message]).await;
}

/// The same where the list shows the page's own version, which was made just now.
#[tokio::test]
async fn regression_versions_of_the_last_minute_are_not_taken_for_all() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let mut message = Message::new(1, 2, false, 0);
    for (version, ago) in [(1, 21_000), (2, 20_000)] {
        let made = now() - ago;
        message.versions[version]["version"] =
            json!({"serial": format!("{made:014}-000@aBcDeFgHi12345678:000"), "timestamp": made});
    }
    message.publish(&ably, "r");
    let hidden: BTreeSet<_> = [version_of(&message, 1)].into();
    ably.behave(|it| it.unlisted = hidden);
    assert_eq!(run(&BACKFILL, &engine, &ably).await.status, 0);
    ably.behave(|it| it.unlisted = BTreeSet::new());
    let found = run(&RECONCILE, &engine, &ably).await;
    assert_eq!(found.events("finding")[0]["version"], json!(version_of(&message, 1)));
}

/// The note that spares older versions from being asked for is a digest of them.
#[tokio::test]
async fn regression_an_altered_older_version_is_found_and_mended() {
    let world = Tampering::start(&[]).await;
    let [_, latest, older] = world.rows_of_edited();
    world.put(altered(&older)).await;
    let found = run(&RECONCILE, &world.engine, &world.ably).await;
    assert_eq!((found.status, &found.summary()["different"]), (1, &json!(1)), "{:?}", found.lines);
    assert_eq!(found.events("finding")[0]["members"], json!(["text"]));
    assert_eq!(run(&REPAIR, &world.engine, &world.ably).await.status, 0);
    let rows = rows_of(&world.engine, "version#").await;
    assert!(rows.iter().any(|row| row["sk"] == older["sk"] && row["text"] == older["text"]));
    // Whoever forges the note too is found by a full comparison.
    world.put(altered(&older)).await;
    let room = archive(&store(&world.engine), "r").await;
    let version = Serial(version_of(&world.edited, world.edited.versions.len() - 1));
    let (_, digest) = room[&Serial(world.edited.serial.clone())].digest(&version);
    let mut forged = latest.clone();
    forged.insert("versionsSha256".into(), AttributeValue::S(digest));
    world.put(forged).await;
    assert_eq!(run(&RECONCILE, &world.engine, &world.ably).await.status, 0);
    let full = run(&[&RECONCILE[..], &["--full"]].concat(), &world.engine, &world.ably).await;
    assert_eq!((full.status, &full.summary()["different"]), (1, &json!(1)), "{:?}", full.lines);
    let mended = run(&[&REPAIR[..], &["--full"]].concat(), &world.engine, &world.ably).await;
    assert_eq!(mended.status, 0, "{:?}", mended.lines);
    check_room(&store(&world.engine), "r", &messages(30)).await;
}

/// `VERSIONS` both, then all: the row of the latest version does not show what was deleted since.
#[tokio::test]
async fn regression_a_row_that_another_setting_left_is_not_left_behind() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = [Message::new(1, 1, true, 0), Message::new(2, 0, true, 0)];
    all.iter().for_each(|message| message.publish(&ably, "r"));
    let creates = all.iter().map(|message| message.delivered("r", 0));
    deliver(&engine, creates).await;
    let settings = Settings { versions: KeepVersions::All, ..Settings::default() };
    let live = ingest(&engine, settings);
    for version in [2, 1] {
        let body = all[0].delivered("r", version).to_string();
        let report = send(&live, "d", body.as_bytes()).await;
        assert_eq!((report.stored, report.failed.len()), (1, 0));
    }
    let texts = async || {
        let rows = rows_of(&engine, "message#").await;
        rows.iter().map(|row| row["text"].as_s().expect("text").clone()).collect::<Vec<_>>()
    };
    assert_eq!(texts().await, ["", "text 2 0"]);
    // A deletion that was not delivered: the walk does likewise.
    let setting = [("VERSIONS", "all")];
    let found = with(&RECONCILE, &engine, &ably, &setting).await;
    assert_eq!(found.events("finding")[0]["gap"], "older", "{:?}", found.lines);
    assert_eq!(with(&REPAIR, &engine, &ably, &setting).await.status, 0);
    assert_eq!(texts().await, ["", ""]);
    assert_eq!(with(&RECONCILE, &engine, &ably, &setting).await.status, 0);
    // What such a row alone has held, is kept as a version of its own.
    let latest = Settings { versions: KeepVersions::Latest, ..Settings::default() };
    let edited = Message::new(4, 1, false, 0);
    let body = edited.delivered("r", 0).to_string();
    assert_eq!(send(&ingest(&engine, latest), "d", body.as_bytes()).await.stored, 1);
    let body = edited.delivered("r", 1).to_string();
    assert_eq!(send(&live, "d", body.as_bytes()).await.stored, 1);
    let archive = archive(&store(&engine), "r").await;
    assert_eq!(archive[&serial(4, 0)].versions.len(), 2);
    assert_eq!(texts().await, ["", "", "text 4 1"]);
    // A message that is new has no such row.
    let body = Message::new(3, 1, false, 0).delivered("r", 1).to_string();
    assert_eq!(send(&live, "d", body.as_bytes()).await.stored, 1);
    assert_eq!(rows_of(&engine, "message#").await.len(), 3);
}
