//! Requests that invoke a Lambda function, signed: one call of one operation, for which an SDK of
//! its own would be a large crate. Who signs sends nothing.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_types::service_config::ServiceConfigKey;

use crate::mistake::Mistake;

/// Credentials are used until so long before they expire.
const MARGIN: Duration = Duration::from_secs(60);

/// A Lambda function's ARN, perhaps with a version or an alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionArn {
    arn: String,
    region: String,
    domain: &'static str,
}

impl FunctionArn {
    /// Reads `arn:aws:lambda:eu-west-1:123456789012:function:name`, with or without `:alias`.
    ///
    /// # Errors
    /// When it is no such thing.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let parts: Vec<_> = text.split(':').collect();
        let (["arn", partition, "lambda", region, _, "function", name]
        | ["arn", partition, "lambda", region, _, "function", name, _]) = parts[..]
        else {
            return Err("an ARN, but not of a Lambda function".into());
        };
        let is_word = |text: &str| {
            let is_of_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            !text.is_empty() && text.bytes().all(is_of_word)
        };
        if !is_word(region) || !is_word(name) {
            return Err("an ARN without the region or the name of a Lambda function".into());
        }
        let domain = if partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        Ok(Self { arn: text.into(), region: region.into(), domain })
    }
}

/// Signs invocations of a function.
pub struct Invoker {
    function: FunctionArn,
    config: SdkConfig,
    known: tokio::sync::Mutex<Option<Credentials>>,
}

/// A request as it is to be sent, by POST.
#[derive(Debug)]
pub struct Signed {
    /// Where.
    pub url: String,
    /// The headers that sign it.
    pub headers: Vec<(String, String)>,
}

impl Invoker {
    /// Signs with the credentials of `config`.
    #[must_use]
    pub fn new(function: FunctionArn, config: SdkConfig) -> Self {
        Self { function, config, known: tokio::sync::Mutex::default() }
    }

    /// Signs an invocation that waits for its answer (Lambda API reference, "Invoke"), at a time in
    /// ms since the epoch.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn sign(&self, body: &[u8], now: i64) -> Result<Signed, String> {
        let time = UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap_or(0));
        let identity = self.credentials(time + MARGIN).await?.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.function.region)
            .name("lambda")
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let url = self.url();
        let request = SignableRequest::new("POST", &url, [].into_iter(), SignableBody::Bytes(body))
            .map_err(|error| error.to_string())?;
        let signed = sign(request, &params).map_err(|error| error.to_string())?;
        let (instructions, _) = signed.into_parts();
        let headers = instructions.headers();
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Signed { url, headers })
    }

    /// Credentials that are good at that time. A provider may have to ask for them.
    async fn credentials(&self, time: std::time::SystemTime) -> Result<Credentials, String> {
        let mut known = self.known.lock().await;
        let is_good = |it: &Credentials| it.expiry().is_none_or(|expiry| expiry > time);
        if let Some(credentials) = known.as_ref().filter(|it| is_good(it)) {
            return Ok(credentials.clone());
        }
        let provider = self.config.credentials_provider().ok_or("no credentials")?;
        let credentials = provider.provide_credentials().await.map_err(|it| it.to_string())?;
        *known = Some(credentials.clone());
        Ok(credentials)
    }

    fn url(&self) -> String {
        let FunctionArn { arn, region, domain } = &self.function;
        let endpoint = self.endpoint();
        let endpoint = endpoint.unwrap_or_else(|| format!("https://lambda.{region}.{domain}"));
        let (endpoint, arn) = (endpoint.trim_end_matches('/'), arn.replace(':', "%3A"));
        format!("{endpoint}/2015-03-31/functions/{arn}/invocations")
    }

    /// `AWS_ENDPOINT_URL_LAMBDA`, or `AWS_ENDPOINT_URL`, as the SDKs look for them.
    fn endpoint(&self) -> Option<String> {
        let key = ServiceConfigKey::builder()
            .service_id("Lambda")
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok()?;
        let own = self.config.service_config().and_then(|config| config.load_config(key));
        own.or_else(|| self.config.endpoint_url().map(ToOwned::to_owned))
    }
}

impl fmt::Debug for Invoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function.arn)
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, SdkConfig};
    use aws_credential_types::provider::SharedCredentialsProvider;

    use super::*;

    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:check-text:live";

    fn config() -> aws_types::sdk_config::Builder {
        let token = Some("session".to_owned());
        let credentials = Credentials::new("AKIDEXAMPLE", "s3cret", token, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
    }

    #[test]
    fn arns_of_functions_and_of_nothing_else() {
        assert!(FunctionArn::parse(ARN).is_ok());
        assert!(FunctionArn::parse(ARN.strip_suffix(":live").unwrap()).is_ok());
        let wrong = "arn:aws:sqs:eu-west-1:123456789012:q";
        let region = "arn:aws:lambda:evil.example/:1:function:f";
        for text in ["", "arn", wrong, region, "arn:aws:lambda:eu-west-1:1:function:"] {
            assert!(FunctionArn::parse(text).is_err(), "{text}");
        }
    }

    /// The signature was made by botocore 1.43 of the same request.
    #[tokio::test]
    async fn an_invocation_is_signed() {
        let invoker = Invoker::new(FunctionArn::parse(ARN).unwrap(), config().build());
        let signed = invoker.sign(b"{}", 1_767_225_600_000).await.unwrap();
        assert_eq!(
            signed.url,
            "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/arn%3Aaws%3Alambda%3A\
             eu-west-1%3A123456789012%3Afunction%3Acheck-text%3Alive/invocations"
        );
        let header = |name: &str| {
            let found = signed.headers.iter().find(|(it, _)| it == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        assert_eq!(header("x-amz-date"), "20260101T000000Z");
        assert_eq!(header("x-amz-security-token"), "session");
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/lambda/\
            aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=\
            c16fb6c56611d3e9b90dece4b8f444daf99ed1ce12e8ca8db9ed8db5fcecf509";
        assert_eq!(header("authorization"), authorization);
        assert_eq!(format!("{invoker:?}"), ARN);
    }

    #[tokio::test]
    async fn the_endpoint_may_be_another() {
        let config = config().endpoint_url("http://127.0.0.1:1/").build();
        let arn = "arn:aws-cn:lambda:cn-north-1:123456789012:function:f";
        let invoker = Invoker::new(FunctionArn::parse(arn).unwrap(), config);
        let url = invoker.sign(b"", 0).await.unwrap().url;
        assert!(url.starts_with("http://127.0.0.1:1/2015-03-31/functions/arn%3Aaws-cn"), "{url}");
    }
}
