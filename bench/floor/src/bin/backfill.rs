//! The least that filling a table takes: so many puts, so many at once, and nothing else.

use floor::{client, put};
use futures_util::{StreamExt, stream};
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let argument = |place| std::env::args().nth(place).and_then(|text| text.parse::<usize>().ok());
    let arguments = argument(1).zip(argument(2));
    let (puts, at_once) = arguments.ok_or("usage: floor-backfill PUTS AT_ONCE")?;
    tokio::runtime::Runtime::new()?.block_on(async {
        let client = client()?;
        let mut written = stream::iter(0..puts)
            .map(|number| {
                let serial = format!("{number:014}-000@aBcDeFgHi12345678:000");
                let data =
                    r#"{"text":"Hello, my order has not arrived.","metadata":{"orderId":4711}}"#;
                let message = json!({"serial": serial, "clientId": "ana", "data": data});
                tokio::spawn(put(&client, "chat", "support:42", &message).send())
            })
            .buffer_unordered(at_once);
        while let Some(written) = written.next().await {
            written??;
        }
        Ok(())
    })
}
