//! The least a function of this kind must do: parse the event, put one item for each message, all
//! at once. No conditions, no mapping, no logs.

use floor::{client, env, put};
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (client, table) = (client()?, env("TABLE_NAME").unwrap_or_default());
    let (client, table) = (&client, &table);
    let handler = service_fn(async |event: LambdaEvent<Value>| -> Result<Value, Error> {
        let channel = event.payload["channel"].as_str().unwrap_or_default();
        let messages = event.payload["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let puts = messages.iter().map(|message| put(client, table, channel, message).send());
        for put in futures_util::future::join_all(puts).await {
            put?;
        }
        Ok(Value::Null)
    });
    Runtime::new(handler).run().await
}
