//! What it finds, writes, says and refuses.

use std::collections::BTreeMap;

use crate::common::{self, EPOCH, ingest};
use crate::common::history::{Message, archive, check_room, reactions};
use crate::program::{deliver, end, live, messages, run, signal, start, store, verify};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use testkit::{Ably, Engine, Item};

#[tokio::test]
async fn a_dry_run_writes_nothing_and_its_bill_is_what_the_run_then_uses() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(120);
    for message in &all {
        message.publish(&ably, "support:42");
    }
    live(&engine, "support:42", &all[..40]).await;
    let before = engine.rows().await;
    let dry = run(&["run", "--room", "support:42"], &engine, &ably).await;
    assert_eq!(dry.status, 1, "something is missing; {}", dry.errors);
    assert_eq!(engine.rows().await, before);
    let bill = dry.summary();
    assert_eq!((&bill["executed"], &bill["repaired"]), (&json!(false), &json!(0)));
    let ran = run(&["run", "--room", "support:42", "--execute"], &engine, &ably).await;
    assert_eq!(ran.status, 0, "{}", ran.errors);
    let used = ran.summary();
    for member in ["ablyMessages", "ablyRequests", "writeUnits", "messages", "versions", "missing"]
    {
        assert_eq!(used[member], bill[member], "{member}");
    }
    assert_eq!(
        used["repaired"].as_u64().unwrap(),
        used["missing"].as_u64().unwrap() + used["reactions"].as_u64().unwrap()
    );
    check_room(&store(&engine), "support:42", &all).await;
    // Each row below 1 KB is one unit, and so is the note on an edited message's latest version.
    let after = engine.rows().await;
    let settled = |row: &&testkit::Item| row.contains_key("versionsSha256");
    let edited = all.iter().filter(|message| message.versions.len() > 1).count();
    assert_eq!(after.iter().filter(settled).count(), edited);
    let units = after.len() - before.len() + edited;
    assert_eq!(used["writeUnits"], json!(units));
    let verified = verify(&["support:42"], &engine, &ably).await;
    assert_eq!(verified.status, 0, "{:?}", verified.lines);
}

/// What is delivered of messages if some of everything is dropped, and the gaps by message.
fn drop_some(all: &[Message]) -> (Vec<Value>, BTreeMap<String, Vec<&'static str>>) {
    let mut expected: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut bodies = Vec::new();
    for (number, message) in all.iter().enumerate() {
        let versions = message.versions.len();
        let mut gap = |what| expected.entry(message.serial.clone()).or_default().push(what);
        // The create, the last version or one in the middle was dropped; or everything.
        let dropped: Vec<usize> = match (number % 4, versions) {
            (0, 1) => vec![0],
            (0, _) => vec![versions - 1],
            (1, 2..) => vec![0],
            (2, 3..) => vec![1],
            _ => vec![],
        };
        for version in &dropped {
            gap(if *version > 0 && *version == versions - 1 { "older" } else { "missing" });
        }
        let kept = (0..versions).filter(|version| !dropped.contains(version));
        bodies.extend(kept.map(|version| message.delivered("r", version)));
        match (message.reactions, number % 3) {
            (0, _) => {}
            (total, 0) => bodies.push(message.delivered_reactions("r", total)),
            (_, 1) => gap("reactions"),
            (total, _) => {
                bodies.push(message.delivered_reactions("r", total + 1));
                gap("reactions");
            }
        }
    }
    (bodies, expected)
}

/// Ably dropped some of everything; conflated versions and what the table knows better are no gaps.
#[tokio::test]
async fn reconcile_finds_what_was_dropped_and_nothing_else() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(60);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    let (mut bodies, expected) = drop_some(&all);
    // A version that another one overtook at Ably, but not on its way here.
    let overtaken = Message::new(3, 2, false, 0);
    bodies.push(overtaken.delivered("r", 1));
    bodies.push(overtaken.delivered("r", 2));
    ably.publish("r", overtaken.versions[2].clone());
    deliver(&engine, bodies).await;
    let found = run(&["reconcile", "--room", "r"], &engine, &ably).await;
    assert_eq!(found.status, 1, "{}", found.errors);
    let mut gaps: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for finding in found.events("finding") {
        let serial = finding["serial"].as_str().unwrap().to_owned();
        gaps.entry(serial).or_default().push(finding["gap"].as_str().unwrap());
    }
    assert_eq!(gaps, expected);
    assert!(gaps.len() > 15, "{gaps:?}");
    let before = ably.requests();
    let repaired = run(&["reconcile", "--room", "r", "--repair"], &engine, &ably).await;
    assert_eq!(repaired.status, 0, "{}", repaired.errors);
    assert!(ably.requests()[2] > before[2]);
    // A complete window: one request for its page, no row but the receipt's; and none for versions, but
    // for the message of which the table knows more than Ably.
    let (before, rows) = (ably.requests(), engine.rows().await);
    let again = run(&["reconcile", "--room", "r", "--repair"], &engine, &ably).await;
    assert_eq!((again.status, again.events("finding").len()), (0, 0));
    assert_eq!(again.summary()["found"], again.summary()["versions"]);
    let after = ably.requests();
    assert_eq!([after[0] - before[0], after[1] - before[1], after[2] - before[2]], [2, 1, 1]);
    let is_row = |row: &&testkit::Item| !row["sk"].as_s().unwrap().starts_with("receipt#");
    let now = engine.rows().await;
    assert!(now.iter().filter(is_row).eq(rows.iter().filter(is_row)));
    // The receipt, in place of the one before.
    assert_eq!(again.summary()["writeUnits"], 2);
}

/// Whatever the pages look like, everything is stored, once.
#[tokio::test]
async fn every_way_of_paging_is_followed() {
    let behaviours: [fn(&mut testkit::Behaviour); 7] = [
        |it| it.page = 7,
        |it| (it.page, it.is_link_joined, it.is_end_included) = (10, true, true),
        |it| (it.page, it.empty_pages) = (10, Some(2)),
        |it| (it.page, it.repeats) = (10, true),
        |it| (it.page, it.serves_versions) = (50, false),
        |it| {
            it.page = 20;
            it.failures = Some((12, &[429, 503, 500]));
        },
        |it| (it.page, it.latency) = (20, std::time::Duration::from_millis(30)),
    ];
    let room = "a::$chat/ü?#%+ b";
    for behave in behaviours {
        let (engine, ably) = (Engine::start().await, Ably::start().await);
        ably.behave(behave);
        let all = messages(45);
        for message in &all {
            message.publish(&ably, room);
        }
        let until = (EPOCH + 40_000).to_string();
        let args =
            ["run", "--room", room, "--execute", "--since", "2026-01-01T00:00:02Z", "--until"];
        let ran = run(&[&args[..], &[&until]].concat(), &engine, &ably).await;
        assert_eq!(ran.status, 0, "{} {:?}", ran.errors, ran.lines);
        // From the second message, included, to the fortieth, not included.
        check_room(&store(&engine), room, &all[1..39]).await;
        assert_eq!(ran.summary()["messages"], 38);
        let verified = verify(&[room], &engine, &ably).await;
        assert_eq!(verified.status, 0, "{:?}", verified.lines);
        // The next run goes on where that one ended.
        let ran =
            run(&["run", "--room", room, "--execute", "--since", "1767225602000"], &engine, &ably)
                .await;
        assert_eq!((ran.status, &ran.summary()["messages"]), (0, &json!(6)), "{}", ran.errors);
        check_room(&store(&engine), room, &all[1..]).await;
    }
}

/// Ably's record of a version wins on repair, and only then; the error names members and no content.
#[tokio::test]
async fn rest_wins_on_repair() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let mut message = Message::new(1, 1, false, 0);
    message.publish(&ably, "r");
    let last = message.versions.len() - 1;
    for version in &mut message.versions {
        version["metadata"] = json!({"secret": "not at Ably"});
    }
    let mut live = message.delivered("r", last);
    live["messages"][0]["extras"] = json!({"headers": {"rule": "added"}});
    deliver(&engine, [message.delivered("r", 0), live]).await;
    let filled = run(&["run", "--room", "r", "--execute"], &engine, &ably).await;
    assert_eq!((filled.status, filled.events("finding").len()), (1, 2), "{}", filled.errors);
    let found = run(&["reconcile", "--room", "r"], &engine, &ably).await;
    let members: Vec<_> = found.events("finding").iter().map(|it| it["members"].clone()).collect();
    assert_eq!(members, [json!(["metadata"]), json!(["metadata", "headers"])]);
    assert_eq!((found.status, &found.summary()["different"]), (1, &json!(2)));
    let row = &archive(&store(&engine), "r").await[&common::serial(1, 0)];
    assert!(row.latest.as_ref().unwrap().metadata.as_str().contains("not at Ably"));
    let repaired = run(&["reconcile", "--room", "r", "--repair"], &engine, &ably).await;
    assert_eq!((repaired.status, &repaired.summary()["repaired"]), (0, &json!(2)));
    check_room(&store(&engine), "r", &[Message::new(1, 1, false, 0)]).await;
    let row = &archive(&store(&engine), "r").await[&common::serial(1, 0)];
    assert_eq!(row.latest.as_ref().unwrap().headers.as_str(), "{}");
}

/// A receipt that says what is missing is none to go on from.
#[tokio::test]
async fn regression_a_run_does_not_pass_over_what_a_reconcile_left() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(10);
    all.iter().for_each(|message| message.publish(&ably, "r"));
    let args = ["reconcile", "--room", "r", "--receipt"];
    assert_eq!(run(&args, &engine, &ably).await.status, 1);
    let verified = verify(&["r"], &engine, &ably).await;
    let problems = verified.events("receipt")[0]["problems"].to_string();
    assert!(
        verified.status == 1 && problems.contains("were missing when it was made"),
        "{problems}"
    );
    let ran = run(&["run", "--room", "r", "--execute"], &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["messages"]), (0, &json!(10)), "{}", ran.errors);
    check_room(&store(&engine), "r", &all).await;
}

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

/// Members that Ably leaves out are kept, also where it is right about another.
#[tokio::test]
async fn what_only_the_table_has_outlives_a_repair() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let message = Message::new(1, 0, false, 0);
    message.publish(&ably, "r");
    let mut live = message.delivered("r", 0);
    live["messages"][0]["version"]["clientId"] = json!("ana");
    live["messages"][0]["extras"] = json!({"userClaim": "vip"});
    deliver(&engine, [live.clone()]).await;
    let same = run(&["reconcile", "--room", "r"], &engine, &ably).await;
    assert_eq!((same.status, same.events("finding").len()), (0, 0));
    let engine = Engine::start().await;
    live["messages"][0]["extras"]["headers"] = json!({"rule": "added"});
    deliver(&engine, [live]).await;
    let repaired = run(&["reconcile", "--room", "r", "--repair"], &engine, &ably).await;
    assert_eq!(
        (repaired.status, &repaired.events("finding")[0]["members"]),
        (0, &json!(["headers"]))
    );
    let row = &archive(&store(&engine), "r").await[&common::serial(1, 0)];
    let latest = row.latest.as_ref().expect("a message");
    assert_eq!((latest.headers.as_str(), latest.user_claim.as_deref()), ("{}", Some("vip")));
    assert_eq!(latest.version.client_id.as_deref(), Some("ana"));
}

/// What the Chat API cannot show is no difference: an archive that decrypted it keeps it.
#[tokio::test]
async fn content_that_ably_cannot_show_is_kept() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let mut message = Message::new(1, 0, false, 0);
    deliver(&engine, [message.delivered("r", 0)]).await;
    (message.versions[0]["text"], message.versions[0]["metadata"]) = (json!(""), json!({}));
    message.publish(&ably, "r");
    let repaired = run(&["reconcile", "--room", "r", "--repair"], &engine, &ably).await;
    assert_eq!((repaired.status, repaired.events("finding").len()), (0, 0));
    check_room(&store(&engine), "r", &[Message::new(1, 0, false, 0)]).await;
}

/// Reactions that were taken back are gone after a repair; newer ones than Ably's read are not touched.
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
        received_at: ably_chat_exporter::time::now(),
    };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    ingest.ingest(&[record], deadline).await;
    let repaired = run(&["reconcile", "--room", "r", "--repair"], &engine, &ably).await;
    assert_eq!((repaired.status, &repaired.summary()["reactions"]), (0, &json!(2)));
    let expected = [0, 2, 3].into_iter().zip(&all);
    let expected: Vec<_> =
        expected.map(|(reactions, message)| Message { reactions, ..message.clone() }).collect();
    check_room(&store(&engine), "r", &expected).await;
}

/// What the function stores, a walk reads and compares: it finds nothing wrong, and leaves a
/// receipt.
#[tokio::test]
async fn regression_a_walk_refused_what_was_stored_live() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let serial = common::serial(1, 0).0;
    let version = json!({"serial": serial, "timestamp": EPOCH, "metadata": "odd", "new": [1]});
    ably.publish(
        "r",
        json!({"serial": serial, "clientId": 7, "text": 7, "metadata": {}, "headers": "odd",
               "userClaim": [], "timestamp": EPOCH, "action": "message.create",
               "version": version}),
    );
    let delivered = json!({"name": "chat.message", "serial": serial, "clientId": 7, "action": 0.0,
        "timestamp": EPOCH, "version": version, "data": {"text": 7, "metadata": {}},
        "extras": {"headers": "odd", "userClaim": []}});
    let envelope = json!({"channel": "r::$chat", "messages": [delivered]});
    deliver(&engine, [envelope]).await;
    let before = engine.rows().await;
    let ran = run(&["run", "--room", "r", "--execute"], &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["found"]), (0, &json!(1)), "{}", ran.errors);
    let reconciled = run(&["reconcile", "--room", "r"], &engine, &ably).await;
    assert_eq!((reconciled.status, &reconciled.summary()["different"]), (0, &json!(0)));
    let verified = verify(&["r"], &engine, &ably).await;
    assert_eq!(verified.status, 0, "{}", verified.errors);
    // A walk alone leaves the same two rows.
    let other = Engine::start().await;
    run(&["run", "--room", "r", "--execute"], &other, &ably).await;
    let stripped = |rows: Vec<testkit::Item>| {
        let versions = rows.into_iter().filter(|row| row.contains_key("serial"));
        versions.map(|mut row| (row.remove("versionCount"), row).1).collect::<Vec<_>>()
    };
    assert_eq!(stripped(other.rows().await), stripped(before));
}

/// Wrong key, forbidden room, odd answers: each says what to do, and the other rooms go on.
#[tokio::test]
async fn what_goes_wrong_is_named_and_neighbours_go_on() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    for room in ["good", "forbidden"] {
        Message::new(1, 0, false, 0).publish(&ably, room);
    }
    ably.forbid("forbidden");
    ably.publish("broken", json!({"serial": "1", "timestamp": EPOCH, "action": 77}));
    Message::new(2, 0, false, 0).publish(&ably, "broken");
    let rooms = ["good", "forbidden", "broken", "..", "nobody-was-here"];
    let rooms: Vec<&str> = rooms.iter().flat_map(|room| ["--room", *room]).collect();
    let ran = run(&[&["run", "--execute"], &rooms[..]].concat(), &engine, &ably).await;
    assert_eq!(ran.status, 2, "{}", ran.errors);
    assert_eq!(ran.summary()["rooms"]["failed"], json!(["broken", "forbidden"]));
    assert_eq!(ran.summary()["rooms"]["walked"], 1);
    assert_eq!(ran.summary()["rooms"]["unknown"], json!(["..", "nobody-was-here"]));
    let reasons: BTreeMap<&str, &str> = ran
        .events("failed")
        .iter()
        .map(|it| (it["room"].as_str().unwrap(), it["reason"].as_str().unwrap()))
        .collect();
    assert!(reasons["forbidden"].contains("error 40160 (status 401)"), "{reasons:?}");
    assert!(reasons["forbidden"].contains("needs `history`"), "{reasons:?}");
    assert!(reasons["forbidden"].contains("https://help.ably.io/error/40160"), "{reasons:?}");
    assert_eq!(reasons["broken"], "$.action: unknown action 77");
    // The neighbour of what is broken is stored, and there is no receipt that says that all is well.
    assert_eq!(archive(&store(&engine), "broken").await.len(), 1);
    let verified = verify(&["good", "broken"], &engine, &ably).await;
    assert_eq!((verified.status, &verified.summary()["broken"]), (1, &json!(1)));

    let wrong = [("ABLY_API_KEY", "app.key:wrong-but-long")];
    let args = ["run", "--room", "good", "--room", "other", "--pace", "100"];
    let ran = end(start(&args, &engine, &ably, &wrong)).await;
    assert_eq!(ran.status, 2);
    assert!(ran.errors.contains("ABLY_API_KEY is refused"), "{}", ran.errors);
    assert!(!ran.errors.contains("wrong-but-long"));

    type Odd = (fn(&mut testkit::Behaviour), &'static str);
    let odd: [Odd; 5] = [
        (|it| it.instead = Some(("<html>login</html>", "text/html")), "found text/html"),
        (|it| it.instead = Some(("[{\"serial\":", "application/json")), "expected a JSON array"),
        (|it| it.is_circular = true, "pages without end"),
        (|it| (it.is_backwards, it.page) = (true, 20), "not in the order that was asked for"),
        (|it| it.skew = 3_600, "this machine's clock is 3"),
    ];
    for (behave, reason) in odd {
        let ably = Ably::start().await;
        (1..50).for_each(|number| Message::new(number, 0, false, 0).publish(&ably, "r"));
        ably.behave(behave);
        let ran = run(&["run", "--room", "r"], &engine, &ably).await;
        assert_eq!(ran.status, 2, "{reason}");
        assert!(
            ran.events("failed")[0]["reason"].as_str().unwrap().contains(reason),
            "{:?}",
            ran.lines
        );
    }
}

#[tokio::test]
async fn wrong_flags_and_settings_are_named() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let cases: [(&[&str], &str); 8] = [
        (&["run"], "--room"),
        (&["run", "--room", "r", "--since", "yesterday"], "expected 2026-11-22"),
        (&["run", "--room", "r", "--until", "2100-01-01"], "at least a minute ago"),
        (&["run", "--room", "r", "--since", "2026-02-01", "--until", "2026-01-01"], "not before"),
        (&["run", "--room", ""], "name is empty"),
        (&["run", "--rooms-file", "/nowhere"], "--rooms-file /nowhere"),
        (&["run", "--stored"], "notes no room"),
        (&["verify", "--receipt", "Cargo.toml"], "no receipt"),
    ];
    for (args, reason) in cases {
        let ran = end(start(args, &engine, &ably, &[])).await;
        assert_eq!(ran.status, 2, "{args:?}");
        assert!(ran.errors.contains(reason), "{args:?}: {}", ran.errors);
    }
    let settings =
        [("TABLE_NAME", ""), ("ABLY_API_KEY", ""), ("ABLY_REST_URL", "http://a.example")];
    let ran = end(start(&["run", "--room", "r"], &engine, &ably, &settings)).await;
    for reason in ["TABLE_NAME is not set", "ABLY_API_KEY is not set", "in the clear"] {
        assert!(ran.errors.contains(reason), "{}", ran.errors);
    }
    let totals = [("REACTION_CLIENTS", "totals")];
    let ran = end(start(&["run", "--room", "r", "--annotations"], &engine, &ably, &totals)).await;
    assert!(ran.errors.contains("REACTION_CLIENTS=totals forbids"), "{}", ran.errors);
    // A table that is not there is no reason to go on in silence.
    let nowhere = [("TABLE_NAME", "nowhere")];
    let ran = end(start(&["run", "--room", "r", "--execute"], &engine, &ably, &nowhere)).await;
    assert_eq!(ran.status, 2);
    assert!(ran.errors.contains("TABLE_NAME: there is no table \"nowhere\""), "{}", ran.errors);
}

#[tokio::test]
async fn rooms_come_from_flags_files_ably_and_the_table() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    for room in ["flag", "file one", "file two", "active", "stored"] {
        Message::new(1, 0, false, 0).publish(&ably, room);
    }
    for channel in ["active::$chat", "no-room", "[meta]log", "a::$chat::$chatMessages"] {
        ably.enter(channel);
    }
    let store = store(&engine);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let room = ably_chat_exporter::chat::RoomName("stored".into());
    store.see_room(&room, EPOCH + 5_000, deadline).await.expect("it is noted");
    let directory = std::env::temp_dir().join(format!("ably-chat-rooms-{}", std::process::id()));
    std::fs::write(&directory, "file one\nfile two\n\n").expect("a file");
    let file = directory.to_str().unwrap();
    let args = [
        "run",
        "--room",
        "flag",
        "--rooms-file",
        file,
        "--active",
        "--stored",
        "--since",
        "2026-01-01",
    ];
    let ran = run(&args, &engine, &ably).await;
    std::fs::remove_file(&directory).expect("the file is removed");
    assert_eq!(ran.status, 1, "their messages are missing; {}", ran.errors);
    let mut rooms: Vec<_> =
        ran.events("room").iter().map(|it| it["room"].as_str().unwrap()).collect();
    rooms.sort_unstable();
    assert_eq!(rooms, ["active", "file one", "file two", "flag", "stored"]);
    let filter = [("ROOM_FILTER", "^file")];
    let ran = end(start(
        &[&args[..1], &["--active", "--room", "file one"]].concat(),
        &engine,
        &ably,
        &filter,
    ))
    .await;
    assert_eq!(ran.events("room").len(), 1);
}

/// A table with a receipt, and somebody who has access to it.
pub(crate) struct Tampering {
    pub(crate) engine: Engine,
    pub(crate) ably: Ably,
    rows: Vec<Item>,
    pub(crate) edited: Message,
}

impl Tampering {
    pub(crate) async fn start(more: &[&str]) -> Self {
        let (engine, ably) = (Engine::start().await, Ably::start().await);
        let all = messages(30);
        all.iter().for_each(|message| message.publish(&ably, "r"));
        let ran = run(&[&["run", "--room", "r", "--execute"], more].concat(), &engine, &ably).await;
        assert_eq!(ran.status, 0, "{}", ran.errors);
        let rows = engine.rows().await;
        let edited = all.into_iter().find(|message| message.versions.len() > 2);
        Self { engine, ably, rows, edited: edited.expect("an edited message") }
    }

    /// Three rows of a message that was edited twice: the latest, its version's, an older version's.
    pub(crate) fn rows_of_edited(&self) -> [Item; 3] {
        let version = |version: usize| {
            let version = self.edited.versions[version]["version"]["serial"].as_str();
            format!("version#{}#{}", self.edited.serial, version.expect("a serial"))
        };
        let last = self.edited.versions.len() - 1;
        [format!("message#{}", self.edited.serial), version(last), version(1)]
            .map(|sk| self.row(&sk))
    }

    pub(crate) fn row(&self, sk: &str) -> Item {
        let is_it = |row: &&Item| row["sk"].as_s().is_ok_and(|it| it.starts_with(sk));
        self.rows.iter().find(is_it).expect("a row").clone()
    }

    pub(crate) async fn put(&self, item: Item) {
        let put = self.engine.client().put_item().table_name(Engine::TABLE);
        put.set_item(Some(item)).send().await.expect("a put");
    }

    pub(crate) async fn delete(&self, row: &Item) {
        let key = ["pk", "sk"].map(|name| (name.to_owned(), row[name].clone()));
        let delete = self.engine.client().delete_item().table_name(Engine::TABLE);
        delete.set_key(Some(key.into())).send().await.expect("a removal");
    }

    /// What is said of the receipt.
    pub(crate) async fn problems(&self) -> String {
        let verified = verify(&["r"], &self.engine, &self.ably).await;
        let problems = &verified.events("receipt")[0]["problems"];
        assert_eq!(verified.status == 0, problems == &json!([]), "{problems}");
        problems.to_string()
    }
}

/// The receipt sees what is no longer as it was, in every kind of row.
#[tokio::test]
async fn verify_finds_what_was_done_behind_its_back() {
    let world = Tampering::start(&[]).await;
    assert_eq!(world.problems().await, "[]");
    // What comes later is not what the receipt saw.
    live(&world.engine, "r", &[Message::new(31, 2, false, 0)]).await;
    let mut edit = world.edited.delivered("r", 1);
    let now = ably_chat_exporter::time::now();
    edit["messages"][0]["version"] =
        json!({"serial": format!("{now:014}-000@aBcDeFgHi12345678:000"), "timestamp": now});
    deliver(&world.engine, [edit]).await;
    assert_eq!(world.problems().await, "[]");
    let differ = "altered, its two rows differ in text";
    for (original, word) in world.rows_of_edited().iter().zip([differ, differ, "altered, "]) {
        let mut altered = original.clone();
        altered.insert("text".into(), AttributeValue::S("never said".into()));
        world.put(altered).await;
        assert!(world.problems().await.contains(word), "{}", world.problems().await);
        world.put(original.clone()).await;
    }
    let [latest, ..] = world.rows_of_edited();
    let mut unreadable = latest.clone();
    unreadable.remove("text");
    world.put(unreadable).await;
    assert!(world.problems().await.contains("is not one of this program's"));
    world.put(latest).await;
    let gone = ["the row of the latest version is gone", "is gone", "1 of "];
    for (original, word) in world.rows_of_edited().iter().zip(gone) {
        world.delete(original).await;
        assert!(world.problems().await.contains(word), "{}", world.problems().await);
        world.put(original.clone()).await;
    }
    assert_eq!(world.problems().await, "[]");
}

/// A receipt that was made to fit is noticed; one that is kept elsewhere cannot be.
#[tokio::test]
async fn receipts_may_be_kept_as_files() {
    let directory = std::env::temp_dir().join(format!("ably-chat-receipts-{}", std::process::id()));
    let world = Tampering::start(&["--receipts", directory.to_str().expect("a path")]).await;
    let file = std::fs::read_dir(&directory).expect("a directory").next().expect("a receipt");
    let file = file.expect("a receipt").path();
    let from_file = async || {
        let args = ["verify", "--receipt", file.to_str().expect("a path")];
        end(start(&args, &world.engine, &world.ably, &[])).await
    };
    assert_eq!(from_file().await.status, 0);
    let mut receipt = world.row("receipt#");
    receipt.insert("pages".into(), AttributeValue::L(Vec::new()));
    world.put(receipt).await;
    world.delete(&world.rows_of_edited()[2]).await;
    assert!(world.problems().await.contains("the receipt was altered"));
    let verified = from_file().await;
    assert_eq!(verified.status, 1);
    assert!(verified.events("receipt")[0]["problems"].to_string().contains("1 of "));
    std::fs::remove_dir_all(&directory).expect("the directory is removed");
}

/// Rows that expire are no gap: a receipt does not outlive its first message.
#[tokio::test]
async fn receipts_expire_with_their_first_message() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    messages(3).iter().for_each(|message| message.publish(&ably, "r"));
    let days = (ably_chat_exporter::time::now() - EPOCH) / 86_400_000 + 1;
    let retention = [("RETENTION_DAYS", days.to_string())];
    let retention = retention.each_ref().map(|(name, value)| (*name, value.as_str()));
    let args = ["run", "--room", "r", "--execute"];
    assert_eq!(end(start(&args, &engine, &ably, &retention)).await.status, 0);
    assert_eq!(verify(&["r"], &engine, &ably).await.status, 0);
    let rows = engine.rows().await;
    let expires = |row: &Item| row["expiresAt"].as_n().expect("a number").clone();
    let of = |kind: &str| {
        let is_it = |row: &&Item| row["sk"].as_s().is_ok_and(|sk| sk.starts_with(kind));
        rows.iter().find(is_it).expect("a row").clone()
    };
    let mut receipt = of("receipt#");
    assert_eq!(expires(&receipt), expires(&of("message#")));
    receipt.insert("expiresAt".into(), AttributeValue::N("1".into()));
    let put = engine.client().put_item().table_name(Engine::TABLE);
    put.set_item(Some(receipt)).send().await.expect("a put");
    let verified = verify(&["r"], &engine, &ably).await;
    assert_eq!(verified.events("failed")[0]["reason"], "no receipt");
    // What would expire at once is not asked for.
    let short = [("RETENTION_DAYS", "1")];
    let ran = end(start(&args, &engine, &ably, &short)).await;
    assert_eq!((ran.status, &ran.summary()["messages"]), (0, &json!(0)), "{}", ran.errors);
}

#[tokio::test]
async fn individual_reactions_are_stored_when_asked_for() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let message = Message::new(1, 0, false, 2);
    message.publish(&ably, "r");
    for (number, action) in [(1, 0), (2, 0), (3, 1)] {
        let serial = common::serial(1, 100 + number).0;
        ably.annotate(
            "r",
            &message.serial,
            json!({"id": "a:0", "action": action, "serial": serial,
            "messageSerial": message.serial, "type": "reaction:distinct.v1", "name": "👍",
            "clientId": format!("client {number}"), "timestamp": EPOCH, "data": {"x": 1.0}}),
        );
    }
    let ran = run(&["run", "--room", "r", "--annotations", "--execute"], &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["annotations"]), (0, &json!(3)), "{:?}", ran.lines);
    let rows = engine.rows().await;
    let found: Vec<_> =
        rows.iter().filter(|row| row["sk"].as_s().unwrap().starts_with("reaction#")).collect();
    assert_eq!(found.len(), 3);
    assert_eq!(found[2]["action"].as_s().unwrap(), "annotation.delete");
    assert_eq!(found[2]["clientId"].as_s().unwrap(), "client 3");
    assert_eq!(found[2]["dataJson"].as_s().unwrap(), "{\"x\":1.0}");
}

/// Ctrl-C says how to go on, and the next run does.
#[tokio::test]
async fn a_run_that_is_interrupted_goes_on() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    let all = messages(300);
    for message in &all {
        message.publish(&ably, "r");
    }
    ably.behave(|it| (it.page, it.latency) = (10, std::time::Duration::from_millis(20)));
    let args = ["run", "--room", "r", "--execute", "--pace", "10000", "--since", "2026-01-01"];
    let child = start(&args, &engine, &ably, &[]);
    ably.wait_for_pages(5).await;
    signal(&child, "-INT");
    let stopped = end(child).await;
    assert_eq!(stopped.status, 130, "{}", stopped.errors);
    assert!(stopped.errors.contains("give the same command again"), "{}", stopped.errors);
    assert_eq!(stopped.summary()["rooms"]["stopped"], json!(["r"]));
    let done = stopped.summary()["messages"].as_u64().unwrap();
    assert!((1..300).contains(&done), "{done}");
    let ran = run(&args[..5], &engine, &ably).await;
    assert_eq!(ran.status, 2, "a pace needs a value");
    let ran = run(&[&args[..4], &args[6..]].concat(), &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["messages"]), (0, &json!(300)), "{}", ran.errors);
    assert_eq!(ran.events("room")[0]["resumed"], json!(done));
    check_room(&store(&engine), "r", &all).await;
    let verified = verify(&["r"], &engine, &ably).await;
    assert_eq!(
        (verified.status, &verified.events("receipt")[0]["versions"]),
        (0, &json!(all.iter().map(|it| it.versions.len()).sum::<usize>())),
        "{:?}",
        verified.lines
    );
}
