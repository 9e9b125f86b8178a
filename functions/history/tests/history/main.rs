//! The built function as Lambda runs it, behind each front end.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use testkit::{Ably, Answer, Engine, FunctionProcess, RuntimeApi};

const KEY: &str = "app.key:s3cret";

/// The function, over an engine.
struct World {
    api: RuntimeApi,
    engine: Engine,
    _function: FunctionProcess,
}

impl World {
    async fn start(more: &[(&str, &str)]) -> Self {
        let (api, engine) = (RuntimeApi::start().await, Engine::start().await);
        let keys = [("HISTORY_KEYS", KEY)];
        let own = keys.iter().chain(more);
        let own = own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let env: Vec<_> = engine.env().into_iter().chain(own).collect();
        let binary = Path::new(env!("CARGO_BIN_EXE_ably-chat-history"));
        let function = FunctionProcess::spawn(binary, &api, &env);
        Self { api, engine, _function: function }
    }

    async fn ask(&self, event: &Value) -> Value {
        match self.api.invoke(event.to_string(), Duration::from_secs(20)).await {
            Answer::Response(response) => response,
            Answer::Error(error) => panic!("an answer: {error}"),
        }
    }
}

fn headers(accept: &str) -> Value {
    let basic = format!("Basic {}", BASE64_STANDARD.encode(KEY));
    json!({"authorization": basic, "accept": accept, "host": "abc.lambda-url.eu-west-1.on.aws"})
}

/// A request as a function URL hands it over (Lambda Developer Guide, "Invoking Lambda function
/// URLs").
fn of_url(method: &str, path: &str, query: &str, accept: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": headers(accept), "isBase64Encoded": false,
        "requestContext": {
            "accountId": "anonymous", "apiId": "abc", "domainName": "abc.lambda-url.on.aws",
            "domainPrefix": "abc", "requestId": "request", "routeKey": "$default",
            "stage": "$default", "time": "22/Nov/2026:10:00:00 +0000",
            "timeEpoch": 1_763_805_600_000_i64,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1",
                     "sourceIp": "192.0.2.1", "userAgent": "test"},
        },
    })
}

/// A request as a load balancer hands it over, with headers of several values.
fn of_load_balancer(path: &str, query: &Value) -> Value {
    let several = |value: &Value| json!([value]);
    let headers = headers("application/json");
    let headers = headers.as_object().expect("headers").iter();
    let headers: serde_json::Map<_, _> =
        headers.map(|(name, value)| (name.clone(), several(value))).collect();
    json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        "httpMethod": "GET", "path": path, "multiValueQueryStringParameters": query,
        "multiValueHeaders": headers, "body": "", "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn a_function_url_reads_what_was_published_through_it() {
    let ably = Ably::start().await;
    let app = Ably::KEY.split('.').next().expect("an app");
    let world = World::start(&[
        ("HISTORY_KEYS", Ably::KEY),
        ("ABLY_APP_ID", app),
        ("ABLY_REST_URL", &ably.endpoint),
        ("PUBLISH", "on"),
    ])
    .await;
    let with_key = |mut event: Value| {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(Ably::KEY));
        event["headers"]["authorization"] = basic.into();
        event
    };
    // A room whose name is nothing but what paths and queries are made of.
    let (room, path) = ("a/b?c%d+e é", "/chat/v4/rooms/a%2Fb%3Fc%25d%2Be%20%C3%A9/messages");
    let mut event = with_key(of_url("POST", path, "", "application/json"));
    event["body"] = json!({"text": "hi"}).to_string().into();
    event["headers"]["content-type"] = "application/json".into();
    event["headers"]["x-ably-version"] = "4".into();
    let answer = world.ask(&event).await;
    assert_eq!(answer["statusCode"], 201, "{answer}");
    assert_eq!(answer["headers"]["x-archive"], "stored");
    let rows = world.engine.rows().await;
    assert!(rows.iter().any(|row| row["pk"].as_s().is_ok_and(|pk| pk == room)), "{room}");
    let page = world.ask(&with_key(of_url("GET", path, "limit=1", "application/json"))).await;
    assert_eq!((&page["statusCode"], &page["isBase64Encoded"]), (&json!(200), &json!(false)));
    assert_eq!(page["headers"]["content-type"], "application/json");
    assert!(page["headers"]["link"].as_str().expect("links").ends_with("rel=\"current\""));
    let messages: Value = serde_json::from_str(page["body"].as_str().expect("text")).expect("JSON");
    assert_eq!(messages[0]["text"], "hi");
    let packed = world.ask(&with_key(of_url("GET", path, "", "application/x-msgpack"))).await;
    assert_eq!(packed["isBase64Encoded"], true);
    let bytes = BASE64_STANDARD.decode(packed["body"].as_str().expect("text")).expect("base64");
    let found: Value = rmp_serde::from_slice(&bytes).expect("MessagePack");
    assert_eq!(found, messages);
}

#[tokio::test]
async fn errors_and_preflights_have_their_headers() {
    let world = World::start(&[]).await;
    let path = "/chat/v4/rooms/a/messages";
    let mut event = of_url("GET", path, "limit=0", "application/json");
    event["headers"]["origin"] = "https://app.example".into();
    let refused = world.ask(&event).await;
    assert_eq!(
        (&refused["statusCode"], &refused["headers"]["x-ably-errorcode"]),
        (&json!(400), &json!("40003"))
    );
    let origin = &refused["headers"]["access-control-allow-origin"];
    assert_eq!(origin, "https://app.example");
    let mut preflight = of_url("OPTIONS", path, "", "*/*");
    preflight["headers"] = json!({
        "origin": "https://app.example", "access-control-request-method": "GET",
        "access-control-request-headers": "authorization,x-ably-version",
    });
    let allowed = world.ask(&preflight).await;
    assert_eq!(allowed["statusCode"], 200, "{allowed}");
    assert_eq!(allowed["headers"]["access-control-allow-credentials"], "true");
}

#[tokio::test]
async fn a_load_balancer_hands_over_paths_as_they_came() {
    let world = World::start(&[]).await;
    let query = json!({"limit": ["7"], "fromSerial": ["1-0%40a%3A0"]});
    let page = world.ask(&of_load_balancer("/chat/v4/rooms/a%2Fb/messages", &query)).await;
    assert_eq!((&page["statusCode"], &page["body"]), (&json!(200), &json!("[]")), "{page}");
    let links = page["multiValueHeaders"]["link"][0].as_str().expect("links");
    assert!(links.contains("limit=7") && links.contains("fromSerial=1-0%40a%3A0"), "{links}");
    assert!(page["statusDescription"].as_str().is_none_or(|it| it.contains("200")), "{page}");
}
