//! Records that are too large for a message of the failure queue.

use std::collections::BTreeSet;
use std::io::Read;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use testkit::Answer;

use crate::common::sources::Source;
use crate::world::{World, assert_well, bad, envelope, failures, message, redrive};

/// A body as it lies in the failure queue, in whatever form.
fn body(parked: &[&Value]) -> Vec<u8> {
    let mut pieces = parked.to_vec();
    pieces.sort_by_key(|one| one["piece"]["number"].as_u64());
    let packed: String = pieces.iter().filter_map(|one| one["bodyGzip"].as_str()).collect();
    let packed = BASE64_STANDARD.decode(packed).expect("base64");
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut body).expect("gzip");
    body
}

/// Once wrapped and escaped, 256 KB of backslashes are more than SQS takes: the record came again
/// for ever, and its neighbours were parked each time.
#[tokio::test]
async fn regression_a_record_that_is_too_large_to_be_parked_as_text_is_parked_packed() {
    let data = json!({"text": "\\".repeat(256 * 1_024)});
    let large = envelope(&message("1", &json!({"action": 77, "data": data})));
    for source in Source::BATCHES {
        let world = World::start().await;
        let answer = world.send(source.event(&[bad("0"), large.clone(), bad("2")])).await;
        assert_well(source, &answer);
        let parked = world.parked();
        assert_eq!(parked.len(), 3, "{source:?}");
        let packed: Vec<_> = parked.iter().filter(|one| one.get("bodyGzip").is_some()).collect();
        assert_eq!((packed.len(), body(&packed) == large), (1, true), "{source:?}");
        assert_eq!(packed[0]["parked"]["recordId"], source.id(1));
        let replayed = world.send(redrive(&world).to_string()).await;
        assert_eq!(replayed, failures(&["record-0", "record-1", "record-2"]));
        let log = world.function.kill().await;
        let reasons = log.lines().filter(|line| line.contains("$.messages[0].action: unknown"));
        assert_eq!(reasons.count(), 6, "parked, and replayed as it came");
    }
}

#[tokio::test]
async fn regression_what_no_message_of_the_queue_holds_is_parked_in_pieces() {
    let world = World::start().await;
    let mut random = fastrand::Rng::with_seed(7);
    let noise = std::iter::once(b'x').chain(std::iter::repeat_with(|| random.u8(..)));
    let noise: Vec<u8> = noise.take(2_000_000).collect();
    let event = Source::Kinesis.event(&[noise.clone(), bad("2")]);
    assert_eq!(world.send(event).await, failures(&[]));
    let parked = world.parked();
    let pieces: Vec<_> = parked.iter().filter(|one| one.get("piece").is_some()).collect();
    assert_eq!((parked.len(), pieces.len()), (4, 3));
    assert!(body(&pieces) == noise);
    // Together, whatever their order, they are the record again.
    let mut records = redrive(&world)["Records"].as_array().cloned().expect("records");
    records.sort_by_key(|record| std::cmp::Reverse(record["body"].to_string().len()));
    for (records, count) in [(&records[..], 4), (&records[1..], 3)] {
        let answer = world.send(json!({"Records": records}).to_string()).await;
        let Answer::Response(answer) = answer else { panic!("{answer:?}") };
        let named = answer["batchItemFailures"].as_array().expect("a list").iter();
        let named: BTreeSet<_> = named.map(|one| one["itemIdentifier"].to_string()).collect();
        assert_eq!(named.len(), count, "{named:?}");
    }
    let log = world.function.kill().await;
    assert_eq!(
        log.matches("the event is not JSON: ").count(),
        2,
        "joined, it is what it was: {log}"
    );
    assert!(log.contains("of 3 of a record; the others were not in the same batch"), "{log}");
}
