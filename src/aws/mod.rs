//! What every AWS client here is made from. What it costs to build is what the function costs to
//! start, so it trusts a handful of built-in roots: parsing the platform's takes more time than
//! everything else.

#[cfg(feature = "history")]
pub mod lambda;
pub mod secret;
pub mod sqs;

use std::time::Duration;

use aws_config::environment::{
    EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider,
};
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

/// The roots of Amazon Trust Services, which certify every AWS endpoint of the commercial and
/// GovCloud partitions. From Mozilla's store, as packaged by Debian's `ca-certificates`.
const AMAZON_ROOTS: &str = include_str!("amazon-roots.pem");

/// How long one attempt at a request may take. AWS answers within milliseconds, and the largest
/// request has 1 MiB: one without an answer by then is lost, and sent again while there is time.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Where region and credentials come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The environment, where Lambda puts them; to look no further saves a tenth of the start-up.
    Environment,
    /// Wherever the SDK looks: environment, profile, web identity, container, instance.
    Anywhere,
}

/// Connects by the SDK's own rules (`AWS_REGION`, `AWS_ENDPOINT_URL_DYNAMODB`, credentials,
/// `AWS_MAX_ATTEMPTS`, …). `platform_roots` trusts what `SSL_CERT_FILE` or `SSL_CERT_DIR` name
/// instead of the built-in roots.
///
/// # Panics
/// Never: the built-in roots are a constant that tests read.
pub async fn connect(platform_roots: bool, identity: Identity) -> SdkConfig {
    let roots = if platform_roots {
        TrustStore::default()
    } else {
        TrustStore::empty().with_pem_certificate(AMAZON_ROOTS)
    };
    let tls = TlsContext::builder().with_trust_store(roots).build().expect("a trust store is set");
    let http = Builder::new()
        // ring: aws-lc gathers entropy for about 60 ms at the first handshake.
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls)
        .build_https();
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build();
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .timeout_config(timeouts);
    let loader = match identity {
        Identity::Environment => loader
            .region(EnvironmentVariableRegionProvider::new())
            .credentials_provider(EnvironmentVariableCredentialsProvider::new()),
        Identity::Anywhere => loader,
    };
    loader.load().await
}

/// What a failed call says: the service's code, status and message, or the chain of causes, of
/// which the SDK's own `Display` gives but "dispatch failure".
pub(crate) fn describe<E>(error: &SdkError<E>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or("unknown error");
            let status = service.raw().status().as_u16();
            match service.err().message() {
                Some(message) => format!("{code} ({status}): {message}"),
                None => format!("{code} ({status})"),
            }
        }
        // An answer that cannot be read would be quoted at length; its kind is enough.
        SdkError::ResponseError(_) => "the answer could not be read".into(),
        other => chain(other),
    }
}

/// An error and what caused it, outermost first.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
