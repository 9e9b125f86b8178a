//! Whatever was delivered live, in whatever mode, however often the walk dies: what is left is what
//! Ably has, the receipt holds, and there is nothing more to repair.

use ably_chat_exporter::backfill::{
    Backfill, Finding, Observer, Repair, Stop, Tally, Verified, Window, receipts, verify,
};
use ably_chat_exporter::chat::{RoomName, Serial};
use ably_chat_exporter::rest::{AblyRest, ApiKey};
use ably_chat_exporter::store::{KeepVersions, Settings};
use proptest::prelude::*;
use testkit::{Ably, Engine};

use crate::common::history::{Message, archive};
use crate::common::{EPOCH, ingest, send};
use crate::rows::delete;

const ROOM: &str = "a#message#1/ü";
const WINDOW: Window = Window { from: 0, until: EPOCH + 1_000_000 };

struct Silent;

impl Observer for Silent {
    fn finding(&self, _: &RoomName, _: &Finding) {}

    fn failed(&self, _: &RoomName, _: Option<&Serial>, reason: &str) {
        panic!("{reason}");
    }

    fn progress(&self, _: &RoomName, _: &Tally) {}
}

/// One message of a history, and what of it was delivered live.
#[derive(Clone, Debug)]
struct Told {
    updates: u32,
    is_deleted: bool,
    reactions: u64,
    /// Of each version, whether it was delivered; and a number of reactions, perhaps an old one.
    delivered: Vec<bool>,
    heard: Option<u64>,
}

#[derive(Clone, Debug)]
struct Case {
    told: Vec<Told>,
    /// What is looked at in the end, and what was before.
    settings: Settings,
    before: Settings,
    /// Of messages in turn, whether lists showed all their versions before.
    listed: Vec<bool>,
    /// Rows that went before the last walk.
    gone: Vec<prop::sample::Index>,
    page: usize,
    repeats: bool,
    serves_versions: bool,
    /// After how many pages each walk before the last one dies.
    crashes: Vec<u64>,
}

fn case() -> impl Strategy<Value = Case> {
    let told = (0..4_u32, any::<bool>(), 0..4_u64, prop::option::of(0..4_u64));
    let told = (told, prop::collection::vec(any::<bool>(), 5)).prop_map(
        |((updates, is_deleted, reactions, heard), delivered)| Told {
            updates,
            is_deleted,
            reactions,
            delivered,
            heard,
        },
    );
    let settings = || {
        let versions = prop_oneof![
            2 => Just(KeepVersions::Both),
            1 => Just(KeepVersions::Latest),
            1 => Just(KeepVersions::All),
        ];
        versions.prop_map(|versions| Settings { versions, ..Settings::default() })
    };
    let ways = (2..6_usize, any::<bool>(), any::<bool>());
    let crashes = prop::collection::vec(1..4_u64, 0..4);
    let listed = prop::collection::vec(prop::bool::weighted(0.8), 1..9);
    let gone = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let told = prop::collection::vec(told, 1..14);
    (told, (settings(), settings()), listed, gone, ways, crashes).prop_map(
        |(told, (settings, before), listed, gone, (page, repeats, serves_versions), crashes)| {
            Case { told, settings, before, listed, gone, page, repeats, serves_versions, crashes }
        },
    )
}

fn backfill(engine: &Engine, ably: &Ably, settings: Settings, repair: Repair) -> Backfill {
    let key = ApiKey::parse(Ably::KEY).expect("a key");
    let rest = AblyRest::new(&key, Some(&ably.endpoint), None).expect("a client");
    let mut backfill = Backfill::new(rest, ingest(engine, settings).store, Stop::new(None));
    (backfill.repair, backfill.is_executed) = (repair, true);
    backfill
}

/// Tells Ably the history, and delivers part of it.
async fn publish_and_deliver(case: &Case, engine: &Engine, ably: &Ably) -> Vec<Message> {
    let live = ingest(engine, case.before);
    let mut messages = Vec::new();
    for (number, told) in (1..).zip(&case.told) {
        let message = Message::new(number, told.updates, told.is_deleted, told.reactions);
        message.publish(ably, ROOM);
        let versions = (0..message.versions.len()).filter(|version| told.delivered[*version]);
        let mut bodies: Vec<_> = versions.map(|it| message.delivered(ROOM, it)).collect();
        bodies.extend(told.heard.map(|total| message.delivered_reactions(ROOM, total)));
        bodies.reverse();
        for body in bodies {
            assert!(send(&live, "live", body.to_string().as_bytes()).await.failed.is_empty());
        }
        // The last that was heard of a deleted message's reactions stays with it.
        let reactions = told.heard.filter(|_| told.is_deleted).unwrap_or(told.reactions);
        messages.push(Message { reactions, ..message });
    }
    messages
}

/// Walks that die wherever they are, under other settings, while lists of versions lag; and rows
/// that go afterwards.
async fn trouble(case: &Case, engine: &Engine, ably: &Ably, messages: &[Message]) {
    // Lists show a message's first versions only, and none of those that came last.
    let lagging = messages.iter().zip(case.listed.iter().cycle().enumerate());
    let unlisted =
        lagging.filter(|(_, (_, is_listed))| !**is_listed).flat_map(|(message, (number, _))| {
            let shown = number % message.versions.len();
            message.versions[shown..].iter().filter_map(|it| it["version"]["serial"].as_str())
        });
    let unlisted = unlisted.map(ToOwned::to_owned).collect();
    ably.behave(|it| it.unlisted = unlisted);
    let room = RoomName(ROOM.into());
    for pages in &case.crashes {
        let (walker, before) =
            (backfill(engine, ably, case.before, Repair::All), ably.requests()[1]);
        // A crash: the walk is dropped wherever it is.
        tokio::select! {
            _ = walker.walk(&room, (WINDOW, 0), &Silent) => {}
            () = ably.wait_for_pages(before + pages) => {}
        }
    }
    ably.behave(|it| it.unlisted.clear());
    let rows: Vec<_> = engine
        .rows()
        .await
        .into_iter()
        .filter(|row| row["pk"].as_s().is_ok_and(|pk| pk == ROOM))
        .collect();
    for index in case.gone.iter().filter(|_| !rows.is_empty()) {
        let row = index.get(&rows);
        let sort_key = row["sk"].as_s().expect("a sort key");
        // Nobody but live deliveries knows of a deleted message's reactions.
        if !sort_key.starts_with("reactions#") {
            delete(engine, row).await;
        }
    }
}

async fn mend_and_compare(case: &Case) {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    ably.behave(|it| {
        (it.page, it.repeats, it.serves_versions) = (case.page, case.repeats, case.serves_versions);
    });
    let messages = publish_and_deliver(case, &engine, &ably).await;
    trouble(case, &engine, &ably, &messages).await;
    let room = RoomName(ROOM.into());
    let walker = backfill(&engine, &ably, case.settings, Repair::All);
    let walked = walker.walk(&room, (WINDOW, 0), &Silent).await.expect("a walk");
    assert!(!walked.is_stopped && walked.failures == 0);
    assert_eq!((walked.tally.left, walked.tally.gaps()), (0, walked.tally.repaired));
    check(&engine, &messages, case).await;
    let store = ingest(&engine, case.settings).store;
    let kept = receipts(&store, &room).await.expect("receipts");
    let kept: Vec<_> = kept.into_iter().map(|receipt| receipt.expect("a receipt")).collect();
    let verified = verify(&store, kept).await.expect("it is read");
    let last = verified.iter().find(|it| it.receipt == walked.receipts[0]).expect("its receipt");
    assert_eq!(last.receipt.tally.messages, messages.len() as u64);
    assert!(last.receipt.is_complete());
    for Verified { receipt, problems, .. } in &verified {
        // One that was made under other settings may know less, and says so.
        if walker.scope().includes(&receipt.scope) {
            assert_eq!(problems, &Vec::<String>::new());
        }
    }
    let walker = backfill(&engine, &ably, case.settings, Repair::Nothing);
    let again = walker.walk(&room, (WINDOW, 0), &Silent).await.expect("a walk").tally;
    assert_eq!((again.gaps(), again.messages), (0, messages.len() as u64));
}

/// Compares all rows with what Ably has, in the mode's own way.
async fn check(engine: &Engine, messages: &[Message], case: &Case) {
    let archive = archive(&ingest(engine, case.settings).store, ROOM).await;
    assert_eq!(archive.len(), messages.len());
    for message in messages {
        let row = &archive[&Serial(message.serial.clone())];
        let of = |version: &serde_json::Value| {
            version["version"]["serial"].as_str().map(ToOwned::to_owned)
        };
        let versions: Vec<String> = message.versions.iter().filter_map(of).collect();
        let found: Vec<&String> = row.versions.keys().map(|serial| &serial.0).collect();
        let latest = row.latest.as_ref().map(|latest| &latest.version.serial.0);
        if case.settings.versions != KeepVersions::Latest {
            assert_eq!(found, versions.iter().collect::<Vec<_>>());
        } else if case.before.versions == KeepVersions::Latest {
            assert_eq!(found, Vec::<&String>::new());
        }
        // A row that another setting left is not left behind.
        if case.settings.versions != KeepVersions::All || latest.is_some() {
            assert_eq!(latest, versions.last());
        }
        let total = row.reactions.as_ref().and_then(|row| row.summary.reactions.distinct.get("👍"));
        assert_eq!(total.map_or(0, |list| list.total), message.reactions, "{}", message.serial);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_is_what_ably_has(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(mend_and_compare(&case));
    }
}
