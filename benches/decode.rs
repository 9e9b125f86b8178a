//! Processor time of decoding a payload and planning its rows: nothing is sent. At most 12 µs a
//! message (`create`; 83 Kitem/s of `batch`): a change that takes longer says why.

use ably_chat_exporter::ably::{Decoder, Verdict};
use ably_chat_exporter::store::{Observation, Settings, Store};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

const CREATE: &str = include_str!("../events/create.json");
const UPDATE: &str = include_str!("../events/update.json");
const SUMMARY: &str = include_str!("../events/summary-distinct.json");
const HOSTILE: &str = include_str!("../events/hostile-metadata.json");

fn main() {
    divan::main();
}

/// The sample as Ably sends it: without the white space that makes it readable.
fn compact(sample: &str) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_str(sample).expect("a sample is JSON");
    value.to_string().into_bytes()
}

fn batch_of_100() -> Vec<u8> {
    let mut value: serde_json::Value = serde_json::from_str(CREATE).expect("a sample is JSON");
    let message = value["messages"][0].clone();
    value["messages"] = serde_json::Value::Array(vec![message; 100]);
    value.to_string().into_bytes()
}

fn decode_and_plan(store: &Store, body: &[u8]) -> usize {
    let entries = Decoder::default().decode(body).expect("a sample is readable");
    let observation = Observation { delivery: Some("bench"), received_at: 0, is_redelivery: false };
    let puts = entries.into_iter().map(|entry| match entry.verdict {
        Verdict::Event(event) => store.plan(&event, observation).map_or(0, |puts| puts.len()),
        Verdict::Skip(_) | Verdict::Fail(_) => 0,
    });
    puts.sum()
}

fn bench(bencher: Bencher<'_, '_>, body: &[u8], messages: usize) {
    let client = testkit::client("http://localhost");
    let store = Store::new(client, "chat", Settings::default());
    bencher
        .counter(ItemsCount::new(messages))
        .bench_local(|| decode_and_plan(&store, black_box(body)));
}

#[divan::bench]
fn create(bencher: Bencher<'_, '_>) {
    bench(bencher, &compact(CREATE), 1);
}

#[divan::bench]
fn update(bencher: Bencher<'_, '_>) {
    bench(bencher, &compact(UPDATE), 1);
}

#[divan::bench]
fn summary(bencher: Bencher<'_, '_>) {
    bench(bencher, &compact(SUMMARY), 1);
}

#[divan::bench]
fn hostile_metadata(bencher: Bencher<'_, '_>) {
    bench(bencher, &compact(HOSTILE), 1);
}

#[divan::bench]
fn batch(bencher: Bencher<'_, '_>) {
    bench(bencher, &batch_of_100(), 100);
}
