//! The same hundred messages, directly as one payload and as a hundred records of SQS and of
//! Kinesis; and what a burst of reactions to one message costs.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use testkit::RuntimeApi;

use crate::stub::Stub;
use crate::{
    BATCH, BATCHES, LATENCY, RECORDS, ROUNDS, Result, Subject, cpu_ms, envelope, invoke, median,
    message, payload, spawn,
};

/// Summaries of one message in one batch.
const BURST: usize = 1_000;

/// Makes an event of a hundred messages that no other event has.
type Event = fn(usize) -> Vec<u8>;

pub(crate) async fn measure(stub: &Stub, subject: &Subject) -> Result<()> {
    let events: [(&str, Event); 3] =
        [("direct, one payload", direct), ("SQS", first_sqs), ("Kinesis", kinesis)];
    let mut times: [Vec<f64>; 3] = Default::default();
    let mut cpu: [Vec<f64>; 3] = Default::default();
    stub.set_latency(LATENCY);
    for _ in 0..ROUNDS {
        let api = RuntimeApi::start().await;
        let function = spawn(subject, stub, &api);
        let pid = function.id().ok_or("the function has ended")?;
        invoke(&api, direct(0)).await?;
        for ((_, event), (times, cpu)) in events.iter().zip(times.iter_mut().zip(&mut cpu)) {
            let before = cpu_ms(pid)?;
            let mut round = Vec::new();
            for number in 0..BATCHES {
                round.push(invoke(&api, event(number)).await?);
            }
            times.push(median(&round));
            cpu.push((cpu_ms(pid)? - before) / BATCHES as f64);
        }
        function.kill().await;
    }
    println!(
        "\n{BATCH} messages of one invocation, both rows, {LATENCY:?} a request  ms      CPU ms   \
         ms/direct"
    );
    let base = median(&times[0]);
    for ((name, _), (times, cpu)) in events.iter().zip(times.iter().zip(&cpu)) {
        let (time, cpu) = (median(times), median(cpu));
        println!("  {name:<46}{time:>11.3}{cpu:>12.3}{:>12.2}   target 1.10", time / base);
    }

    let api = RuntimeApi::start().await;
    let function = spawn(subject, stub, &api);
    stub.take_rows();
    invoke(&api, burst()).await?;
    let writes = stub.take_rows();
    println!(
        "  {BURST} summaries of one message in one Kinesis batch: {writes} writes   target 10"
    );
    function.kill().await;
    Ok(())
}

fn direct(number: usize) -> Vec<u8> {
    payload(BATCH, number)
}

fn first_sqs(number: usize) -> Vec<u8> {
    sqs(number, "1")
}

/// Records that were received `count` times.
pub(crate) fn sqs(number: usize, count: &str) -> Vec<u8> {
    let records = (0..BATCH).map(|index| {
        let body = String::from_utf8(envelope(&[message(index, number)])).expect("JSON is UTF-8");
        json!({"messageId": format!("059f36b4-87a3-44ab-83d2-{index:012}"), "body": body,
               "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a", "messageAttributes": {},
               "attributes": {"ApproximateReceiveCount": count, "SentTimestamp": "1767225700000",
                   "SenderId": "AROAEXAMPLE:ably",
                   "ApproximateFirstReceiveTimestamp": "1767225700001"},
               "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3", "eventSource": "aws:sqs",
               "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:chat",
               "awsRegion": "eu-west-1"})
    });
    json!({"Records": records.collect::<Vec<_>>()}).to_string().into_bytes()
}

fn kinesis(number: usize) -> Vec<u8> {
    stream((0..BATCH).map(|index| message(index, number)))
}

/// As many as Kinesis may hand over at once.
pub(crate) fn kinesis_records(number: usize) -> Vec<u8> {
    stream((0..RECORDS).map(|index| message(index, number)))
}

fn burst() -> Vec<u8> {
    stream((0..BURST).map(|total| {
        let mut summary = message(0, 0);
        let totals = json!({"reaction:distinct.v1": {"👍": {"total": total}}});
        summary["action"] = json!(4);
        summary["annotations"] = json!({ "summary": totals });
        summary
    }))
}

fn stream(messages: impl Iterator<Item = Value>) -> Vec<u8> {
    let records = messages.enumerate().map(|(index, message)| {
        let number = format!("49590338271490256608559692538361571095921575{index:012}");
        json!({"kinesis": {"kinesisSchemaVersion": "1.0", "partitionKey": "support:42::$chat",
                   "sequenceNumber": number, "data": BASE64_STANDARD.encode(envelope(&[message])),
                   "approximateArrivalTimestamp": 1_767_225_700.123},
               "eventSource": "aws:kinesis", "eventVersion": "1.0", "awsRegion": "eu-west-1",
               "eventID": format!("shardId-000000000006:{number}"),
               "eventName": "aws:kinesis:record",
               "invokeIdentityArn": "arn:aws:iam::123456789012:role/exporter",
               "eventSourceARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/chat"})
    });
    json!({"Records": records.collect::<Vec<_>>()}).to_string().into_bytes()
}
