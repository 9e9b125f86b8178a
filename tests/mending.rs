//! Whatever was delivered live, in whatever mode, however often the walk dies: what is left is what Ably
//! has, the receipt holds, and there is nothing more to mend.

mod common;

use ably_chat_exporter::backfill::{
    Backfill, Finding, Receipt, Repair, Report, Stop, Tally, Window, verify,
};
use ably_chat_exporter::chat::{RoomName, Serial};
use ably_chat_exporter::rest::{AblyRest, ApiKey};
use ably_chat_exporter::store::{Direction, Document, Settings, Versions};
use common::history::{Message, archive};
use common::{EPOCH, ingest, send};
use proptest::prelude::*;
use testkit::{Ably, Engine};

const ROOM: &str = "a#message#1/ü";

struct Silent;

impl Report for Silent {
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
    /// Of each version, whether it was delivered; and a number of reactions, which may be an old one.
    delivered: Vec<bool>,
    heard: Option<u64>,
}

#[derive(Clone, Debug)]
struct Case {
    told: Vec<Told>,
    settings: Settings,
    page: usize,
    repeats: bool,
    serves_versions: bool,
    /// After how many pages each walk before the last one dies.
    crashes: Vec<u64>,
}

fn case() -> impl Strategy<Value = Case> {
    let told = (0..4_u32, any::<bool>(), 0..4_u64, proptest::option::of(0..4_u64));
    let told = (told, proptest::collection::vec(any::<bool>(), 5)).prop_map(
        |((updates, is_deleted, reactions, heard), delivered)| Told {
            updates,
            is_deleted,
            reactions,
            delivered,
            heard,
        },
    );
    let versions = prop_oneof![Just(Versions::Both), Just(Versions::Latest), Just(Versions::All)];
    let settings = versions.prop_map(|versions| Settings { versions, ..Settings::default() });
    let ways = (2..6_usize, any::<bool>(), any::<bool>());
    let crashes = proptest::collection::vec(1..4_u64, 0..4);
    (proptest::collection::vec(told, 1..14), settings, ways, crashes).prop_map(
        |(told, settings, (page, repeats, serves_versions), crashes)| Case {
            told,
            settings,
            page,
            repeats,
            serves_versions,
            crashes,
        },
    )
}

fn backfill(engine: &Engine, ably: &Ably, settings: Settings, repair: Repair) -> Backfill {
    let key = ApiKey::parse(Ably::KEY).expect("a key");
    let rest = AblyRest::new(&key, Some(&ably.endpoint), None).expect("a client");
    let mut backfill = Backfill::new(rest, ingest(engine, settings), Stop::new(None));
    (backfill.repair, backfill.is_executed) = (repair, true);
    backfill
}

async fn mend_and_compare(case: &Case) {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    ably.behave(|it| {
        (it.page, it.repeats, it.serves_versions) = (case.page, case.repeats, case.serves_versions);
    });
    let live = ingest(&engine, case.settings);
    let mut messages = Vec::new();
    for (number, told) in (1..).zip(&case.told) {
        let message = Message::new(number, told.updates, told.is_deleted, told.reactions);
        message.publish(&ably, ROOM);
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
    let (room, window) = (RoomName(ROOM.into()), Window { from: 0, until: EPOCH + 1_000_000 });
    for pages in &case.crashes {
        let (walker, before) =
            (backfill(&engine, &ably, case.settings, Repair::All), ably.requests()[1]);
        // A crash: the walk is dropped wherever it is.
        tokio::select! {
            _ = walker.walk(&room, (window, 0), &Silent) => {}
            () = ably.wait_for_pages(before + pages) => {}
        }
    }
    let walker = backfill(&engine, &ably, case.settings, Repair::All);
    let walked = walker.walk(&room, (window, 0), &Silent).await.expect("a walk");
    assert!(!walked.is_stopped && walked.failures == 0);
    check(&engine, &messages, case.settings).await;
    let all = (Direction::OldestFirst, None);
    let receipts =
        live.store.documents::<Receipt>(&room, Document::Receipt, all).await.expect("receipts");
    assert_eq!(receipts.len(), 1);
    for receipt in receipts {
        let receipt = receipt.expect("a receipt");
        assert_eq!(receipt.tally.messages, messages.len() as u64);
        assert!(receipt.is_complete());
        assert_eq!(verify(&live.store, &receipt).await.expect("it is read"), Vec::<String>::new());
    }
    let walker = backfill(&engine, &ably, case.settings, Repair::Nothing);
    let again = walker.walk(&room, (window, 0), &Silent).await.expect("a walk").tally;
    assert_eq!((again.gaps(), again.messages), (0, messages.len() as u64));
}

/// Compares all rows with what Ably has, in the mode's own way.
async fn check(engine: &Engine, messages: &[Message], settings: Settings) {
    let archive = archive(&ingest(engine, settings).store, ROOM).await;
    assert_eq!(archive.len(), messages.len());
    for message in messages {
        let row = &archive[&Serial(message.serial.clone())];
        let of = |version: &serde_json::Value| {
            version["version"]["serial"].as_str().map(ToOwned::to_owned)
        };
        let versions: Vec<String> = message.versions.iter().filter_map(of).collect();
        let found: Vec<&String> = row.versions.keys().map(|serial| &serial.0).collect();
        let latest = row.latest.as_ref().map(|latest| &latest.version.serial.0);
        match settings.versions {
            Versions::Both => {
                assert_eq!((found, latest), (versions.iter().collect(), versions.last()))
            }
            Versions::All => assert_eq!((found, latest), (versions.iter().collect(), None)),
            Versions::Latest => assert_eq!((found, latest), (vec![], versions.last())),
        }
        let total = row.reactions.as_ref().and_then(|row| row.summary.reactions.distinct.get("👍"));
        assert_eq!(total.map_or(0, |list| list.total), message.reactions, "{}", message.serial);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_is_what_ably_has(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(mend_and_compare(&case));
    }
}
