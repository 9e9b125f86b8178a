//! What the bare programs share: a client that is set up as fast as a deployable one can be, with
//! ring, embedded roots, region and credentials straight from the environment.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use serde_json::Value;

/// A setting.
#[must_use]
pub fn env(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a program of its own")]
    std::env::var(name).ok()
}

/// The client.
///
/// # Errors
/// When no trust store can be built.
pub fn client() -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let roots = match env("SSL_CERT_FILE") {
        Some(_) => TrustStore::default(),
        None => TrustStore::empty()
            .with_pem_certificate(include_str!("../../../src/aws/amazon-roots.pem")),
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

/// The put of one message, as it came, without condition or mapping.
#[must_use]
pub fn put(client: &Client, table: &str, channel: &str, message: &Value) -> PutItemFluentBuilder {
    let text =
        |name: &str| AttributeValue::S(message[name].as_str().unwrap_or_default().to_owned());
    let put = client.put_item().table_name(table);
    put.item("pk", AttributeValue::S(channel.to_owned()))
        .item("sk", text("serial"))
        .item("clientId", text("clientId"))
        .item("data", text("data"))
}
