//! What is wrong is named, and neighbours go on.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::{Ably, Behaviour, Engine, Services};

use crate::common::EPOCH;
use crate::common::history::{Message, archive};
use crate::program::{BINARY, ask, end, run, start, store, verify, with};

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
    let ran = run(&[&["backfill", "--execute"], &rooms[..]].concat(), &engine, &ably).await;
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
    // The neighbour of what is broken is stored, and no receipt says that all is well.
    assert_eq!(archive(&store(&engine), "broken").await.len(), 1);
    let verified = verify(&["good", "broken"], &engine, &ably).await;
    assert_eq!((verified.status, &verified.summary()["broken"]), (1, &json!(1)));

    let wrong = [("ABLY_API_KEY", "app.key:wrong-but-long")];
    let args = ["backfill", "--room", "good", "--room", "other", "--pace", "100"];
    let ran = end(start(&args, &engine, &ably, &wrong)).await;
    assert_eq!(ran.status, 2);
    assert!(ran.errors.contains("ABLY_API_KEY is refused"), "{}", ran.errors);
    assert!(!ran.errors.contains("wrong-but-long"));

    type Odd = (fn(&mut Behaviour), &'static str);
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
        let ran = run(&["backfill", "--room", "r"], &engine, &ably).await;
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
        (&["backfill"], "--room"),
        (&["backfill", "--room", "r", "--since", "yesterday"], "expected 2026-11-22"),
        (&["backfill", "--room", "r", "--until", "2100-01-01"], "at least a minute ago"),
        (
            &["backfill", "--room", "r", "--since", "2026-02-01", "--until", "2026-01-01"],
            "not before",
        ),
        (&["backfill", "--room", ""], "name is empty"),
        (&["backfill", "--rooms-file", "/nowhere"], "--rooms-file /nowhere"),
        (&["backfill", "--stored"], "notes no room"),
        (&["verify", "--receipt", "Cargo.toml"], "no receipt"),
    ];
    for (args, reason) in cases {
        let ran = end(start(args, &engine, &ably, &[])).await;
        assert_eq!(ran.status, 2, "{args:?}");
        assert!(ran.errors.contains(reason), "{args:?}: {}", ran.errors);
    }
    let settings =
        [("TABLE_NAME", ""), ("ABLY_API_KEY", ""), ("ABLY_REST_URL", "http://a.example")];
    let ran = end(start(&["backfill", "--room", "r"], &engine, &ably, &settings)).await;
    for reason in ["TABLE_NAME is not set", "ABLY_API_KEY is not set", "in the clear"] {
        assert!(ran.errors.contains(reason), "{}", ran.errors);
    }
    let totals = [("REACTION_CLIENTS", "totals")];
    let ran =
        end(start(&["backfill", "--room", "r", "--annotations"], &engine, &ably, &totals)).await;
    assert!(ran.errors.contains("REACTION_CLIENTS=totals forbids"), "{}", ran.errors);
    // A table that is not there is no reason to go on in silence.
    let nowhere = [("TABLE_NAME", "nowhere")];
    let ran = end(start(&["backfill", "--room", "r", "--execute"], &engine, &ably, &nowhere)).await;
    assert_eq!(ran.status, 2);
    assert!(ran.errors.contains("TABLE_NAME: there is no table \"nowhere\""), "{}", ran.errors);
}

/// It named `--receipt` alone, as if there were no other way.
#[test]
fn regression_verify_without_flags_names_all_that_it_takes() {
    let (status, _, errors) = ask(BINARY, &["verify"]);
    assert_eq!(status, 2);
    for flag in ["--room <NAME>", "--rooms-file <FILE>", "--receipt <FILE>"] {
        assert!(errors.contains(flag), "{errors}");
    }
}

/// Small things that people trip over.
#[tokio::test]
async fn regression_files_flags_and_errors_are_as_people_expect() {
    let (engine, ably) = (Engine::start().await, Ably::start().await);
    for room in ["one", "two"] {
        Message::new(1, 0, false, 0).publish(&ably, room);
    }
    let file = std::env::temp_dir().join(format!("ably-chat-marked-{}", std::process::id()));
    std::fs::write(&file, "\u{feff}one\r\ntwo\r\n").expect("a file");
    let path = file.to_str().expect("a path");
    let args = ["backfill", "--rooms-file", path, "--execute", "--json", "--quiet"];
    let ran = run(&args, &engine, &ably).await;
    assert_eq!((ran.status, &ran.summary()["rooms"]["walked"]), (0, &json!(2)), "{:?}", ran.lines);
    assert_eq!(ran.errors, "", "quiet");
    let usd = ran.summary()["usd"].as_f64().expect("a price");
    let units = ran.summary()["writeUnits"].as_f64().expect("units");
    assert!((usd - units * 0.625 / 1e6).abs() < 1e-9 && ran.summary()["seconds"].is_number());
    // A key that is refused is said once, and the summary comes after it.
    let wrong = [("ABLY_API_KEY", "aB3dEf.other:wrong-but-long")];
    let args = ["backfill", "--rooms-file", path, "--since", "2026-01-01"];
    let ran = with(&args, &engine, &ably, &wrong).await;
    std::fs::remove_file(&file).expect("the file is removed");
    assert_eq!(ran.status, 2);
    assert_eq!(ran.errors.matches("ABLY_API_KEY is refused").count(), 1, "{}", ran.errors);
    assert!(ran.summary()["error"].as_str().expect("an error").contains("refused"));
    assert_eq!(ran.events("failed"), Vec::<&Value>::new());
}

/// It would bring the rooms of another app into the table.
#[tokio::test]
async fn a_key_of_another_app_is_refused_wherever_it_is_kept() {
    const KEPT: &str = "arn:aws:ssm:eu-west-1:123456789012:parameter/chat/ably-api-key";
    let (engine, ably, services) =
        (Engine::start().await, Ably::start().await, Services::start().await);
    services.set_secret(KEPT, "staging.key:hidden-and-long");
    let env = services.env();
    let mut more: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
    more.extend([("ABLY_API_KEY", KEPT), ("ABLY_APP_ID", "prod")]);
    let ran = end(start(&["backfill", "--room", "r"], &engine, &ably, &more)).await;
    let reason = "ABLY_API_KEY: a key of app \"staging\", but ABLY_APP_ID is \"prod\"";
    assert!(ran.status == 2 && ran.errors.contains(reason), "{}", ran.errors);
    assert!(!ran.errors.contains("hidden"));
    assert_eq!(ably.requests(), [0; 3]);
}
