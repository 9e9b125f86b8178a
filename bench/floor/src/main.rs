//! The least a function of this kind must do: parse the event, put one item for each message, all
//! at once. No conditions, no mapping, no logs. Set up as fast as a deployable function can be:
//! ring, embedded roots, one thread, region and credentials straight from the environment.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use serde_json::Value;

fn env(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a program of its own")]
    std::env::var(name).ok()
}

fn client() -> Result<Client, Error> {
    let roots = match env("SSL_CERT_FILE") {
        Some(_) => TrustStore::default(),
        None => {
            TrustStore::empty().with_pem_certificate(include_str!("../../../src/amazon-roots.pem"))
        }
    };
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(TlsContext::builder().with_trust_store(roots).build()?)
        .build_https();
    let id = env("AWS_ACCESS_KEY_ID").unwrap_or_default();
    let secret = env("AWS_SECRET_ACCESS_KEY").unwrap_or_default();
    let mut config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .region(env("AWS_REGION").map(Region::new))
        .credentials_provider(Credentials::new(id, secret, None, None, "environment"));
    config.set_endpoint_url(env("AWS_ENDPOINT_URL_DYNAMODB"));
    Ok(Client::from_conf(config.build()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (client, table) = (client()?, env("TABLE_NAME").unwrap_or_default());
    let (client, table) = (&client, &table);
    let handler = service_fn(async |event: LambdaEvent<Value>| -> Result<Value, Error> {
        let channel = event.payload["channel"].as_str().unwrap_or_default();
        let messages = event.payload["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let puts = messages.iter().map(|message| {
            let text = |name: &str| {
                AttributeValue::S(message[name].as_str().unwrap_or_default().to_owned())
            };
            let put = client.put_item().table_name(table);
            let put = put.item("pk", AttributeValue::S(channel.to_owned()));
            put.item("sk", text("serial"))
                .item("clientId", text("clientId"))
                .item("data", text("data"))
                .send()
        });
        for put in futures_util::future::join_all(puts).await {
            put?;
        }
        Ok(Value::Null)
    });
    Runtime::new(handler).run().await
}
