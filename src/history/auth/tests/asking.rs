//! Opaque tokens, with `HISTORY_ASK_ABLY=on`.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::*;

const TOKEN: &str = "app.0paque-T0ken_s3cret";

type Answer = (u16, &'static str, &'static str);

/// Ably, as far as it is asked about tokens.
struct Standin {
    upstream: Upstream,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    task: AbortHandle,
}

impl Standin {
    async fn start() -> Self {
        let answer = Arc::new(Mutex::new((200, "", "[]")));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, notes) = (Arc::clone(&answer), Arc::clone(&asked));
        let router = Router::new().fallback(async move |uri: Uri, headers: HeaderMap| {
            notes.lock().unwrap().push((uri.to_string(), headers));
            let (status, code, body) = *answers.lock().unwrap();
            let headers = [("x-ably-errorcode", code), ("x-ably-errormessage", "by header")];
            (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let upstream = Upstream::new(Some(&url)).unwrap();
        Self { upstream, answer, asked, task: task.abort_handle() }
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn questions(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    async fn admits(&self, gate: &Gate, sent: &Sent) -> Result<Caller, ApiError> {
        sent.through(gate, Some(&self.upstream), NOW * 1_000).await
    }

    async fn code(&self, gate: &Gate, sent: &Sent) -> (u16, u32) {
        let admitted = self.admits(gate, sent).await;
        admitted.map_or_else(|error| (error.status, error.code), |_| (0, 0))
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn asking() -> Gate {
    gate(KEYS, Some("app"), true)
}

#[tokio::test]
async fn ably_is_asked_with_the_callers_token_about_the_room() {
    let (ably, gate) = (Standin::start().await, asking());
    let sent = Sent::bearer(TOKEN).by("ana").to("a/b?é").with("ably-agent", "test");
    let caller = ably.admits(&gate, &sent).await.unwrap();
    assert_eq!(caller, Caller { client_id: Some("ana".into()), key_name: "app".into() });
    assert_eq!(ably.admits(&gate, &sent.clone().by_query("ana")).await.unwrap(), caller);
    let asked = ably.asked.lock().unwrap();
    assert_eq!(asked[0].0, "/chat/v4/rooms/a%2Fb%3F%C3%A9/messages?limit=1");
    assert_eq!(asked[1].0, "/chat/v4/rooms/a%2Fb%3F%C3%A9/messages?limit=1&clientId=ana");
    let headers = &asked[0].1;
    assert_eq!(headers["authorization"], format!("Bearer {}", STANDARD.encode(TOKEN)));
    assert!(headers["x-ably-clientid"] == "YW5h" && headers["ably-agent"] == "test");
}

#[tokio::test]
async fn what_ably_took_is_remembered_for_a_minute() {
    let (ably, gate) = (Standin::start().await, asking());
    let sent = Sent::bearer(TOKEN);
    for _ in 0..3 {
        assert_eq!(ably.code(&gate, &sent).await, (0, 0));
    }
    assert_eq!(ably.questions(), 1);
    // Another room, another client, another token.
    let others = [sent.clone().to("other"), sent.clone().by("ana"), Sent::bearer("app.other")];
    for other in others {
        assert_eq!(ably.code(&gate, &other).await, (0, 0));
    }
    assert_eq!(ably.questions(), 4);
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    tokio::time::resume();
    ably.answers((401, "40141", r#"{"error":{"code":40141,"message":"revoked"}}"#));
    assert_eq!(ably.code(&gate, &sent).await, (401, 40_101));
}

#[tokio::test]
async fn what_ably_refuses_goes_back_as_it_came() {
    let (ably, gate) = (Standin::start().await, asking());
    let sent = Sent::bearer(TOKEN);
    let body = r#"{"error":{"code":40160,"message":"by body","statusCode":401,"detail":{"a": 1}}}"#;
    ably.answers((401, "", body));
    let error = ably.admits(&gate, &sent).await.unwrap_err();
    assert_eq!((error.status, error.code, &*error.message), (401, 40_160, "by body"));
    assert_eq!(error.detail.unwrap().get(), r#"{"a": 1}"#);
    ably.answers((403, "40300", "<html>"));
    let error = ably.admits(&gate, &sent).await.unwrap_err();
    assert_eq!((error.status, error.code, &*error.message), (403, 40_300, "by header"));
    ably.answers((429, "", ""));
    assert_eq!(ably.code(&gate, &sent).await, (429, 42_900));
    ably.answers((200, "", "[]"));
    assert_eq!(ably.code(&gate, &sent).await, (0, 0), "refusals are not remembered");
}

#[tokio::test]
async fn without_an_answer_nobody_can_tell() {
    let (ably, gate) = (Standin::start().await, asking());
    for status in [500, 503, 302] {
        ably.answers((status, "", r#"{"error":{"code":50000,"message":"internal"}}"#));
        assert_eq!(ably.code(&gate, &Sent::bearer(TOKEN)).await, (503, 50_003), "{status}");
    }
    let nobody = Upstream::new(Some("http://127.0.0.1:9")).unwrap();
    let error = Sent::bearer(TOKEN).through(&gate, Some(&nobody), 0).await.unwrap_err();
    assert_eq!((error.status, error.code), (503, 50_003));
}

#[tokio::test]
async fn another_apps_token_is_not_asked_about() {
    let ably = Standin::start().await;
    for gate in [asking(), gate(KEYS, None, true)] {
        assert_eq!(ably.code(&gate, &Sent::bearer("other.t0ken")).await, (401, 40_101));
        assert_eq!(ably.questions(), 0);
    }
    assert_eq!(ably.code(&gate(KEYS, None, true), &Sent::bearer(TOKEN)).await, (0, 0));
}

/// Ably might look at another part of the JWT than we do.
#[tokio::test]
async fn of_an_embedded_token_ably_sees_nothing_but_the_token() {
    let (ably, gate) = (Standin::start().await, asking());
    let header = json!({"alg": "RS256", "kid": "other.key", "x-ably-token": TOKEN});
    let sent = Sent::bearer(&sign(&header, &json!({}), "anybody"));
    assert_eq!(ably.code(&gate, &sent).await, (0, 0));
    let expected = format!("Bearer {}", STANDARD.encode(TOKEN));
    assert_eq!(ably.asked.lock().unwrap()[0].1["authorization"], expected);
    for wrong in ["other.t0ken", "no-token", "a.b.c", ""] {
        let token = token(&json!({"x-ably-token": wrong}));
        assert_eq!(ably.code(&gate, &Sent::bearer(&token)).await, (401, 40_101), "{wrong}");
    }
    assert_eq!(ably.questions(), 1);
}

#[tokio::test]
async fn a_room_that_ablys_paths_cannot_name_is_refused() {
    let (ably, gate) = (Standin::start().await, asking());
    for room in [".", ".."] {
        let sent = Sent::bearer(TOKEN).to(room);
        assert_eq!(ably.code(&gate, &sent).await, (401, 40_101));
        assert_eq!(refusal(&gate, Sent::basic("app.one:s3cret-one").to(room)).await, (0, 0));
    }
    assert_eq!(ably.questions(), 0);
}

#[tokio::test]
async fn what_can_be_verified_here_is_not_asked_about() {
    let (ably, gate) = (Standin::start().await, asking());
    assert_eq!(ably.code(&gate, &Sent::bearer(&token(&json!({})))).await, (0, 0));
    assert_eq!(ably.code(&gate, &Sent::basic("app.one:s3cret-one")).await, (0, 0));
    assert_eq!(ably.code(&gate, &Sent::basic("app.one:wrong")).await, (401, 40_101));
    assert_eq!(ably.questions(), 0);
}

#[tokio::test]
async fn a_token_that_ably_refuses_is_not_asked_about_without_end() {
    let (ably, gate) = (Standin::start().await, asking());
    ably.answers((401, "40142", r#"{"error":{"code":40142,"message":"expired"}}"#));
    for _ in 0..10 {
        assert_eq!(ably.code(&gate, &Sent::bearer(TOKEN)).await, (401, 40_142));
    }
    assert_eq!(ably.code(&gate, &Sent::bearer(TOKEN)).await, (429, 42_910));
    assert_eq!(ably.questions(), 10);
}

#[tokio::test]
async fn questions_have_a_rate() {
    let (ably, gate) = (Standin::start().await, asking());
    ably.answers((401, "40101", r#"{"error":{"code":40101,"message":"no"}}"#));
    let mut refused = 0;
    for number in 0..60 {
        let sent = Sent::bearer(&format!("app.guess-{number}"));
        refused += usize::from(ably.code(&gate, &sent).await == (429, 42_910));
    }
    assert!(refused > 0 && ably.questions() == 60 - refused, "{refused}");
}
