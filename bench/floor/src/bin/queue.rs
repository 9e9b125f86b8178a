//! The least a queue's consumer must do: take a message, put one item for it, acknowledge it; so
//! many at once as the real one writes.

use floor::{client, env, put};
use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use serde_json::Value;

const CONCURRENCY: usize = 72;
const PREFETCH: u16 = 1_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let setting = |name| env(name).unwrap_or_default();
    let (client, table) = (client()?, setting("TABLE_NAME"));
    let url = setting("ABLY_QUEUE_URL");
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let queue = setting("ABLY_QUEUE");
    let options = BasicConsumeOptions::default();
    let consumer =
        channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
    let (client, table) = (&client, &table);
    consumer
        .map(async |message| -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
            let message = message?;
            let envelope: Value = serde_json::from_slice(&message.data)?;
            let channel = envelope["channel"].as_str().unwrap_or_default();
            put(client, table, channel, &envelope["messages"][0]).send().await?;
            message.ack(BasicAckOptions::default()).await?;
            Ok(())
        })
        .buffer_unordered(CONCURRENCY)
        .for_each(async |done| {
            if let Err(error) = done {
                eprintln!("{error}");
            }
        })
        .await;
    Ok(())
}
