//! A payload that is not Chat's is kept in its wire form.

use ably_chat_exporter::chat::Data;

use crate::payload::{read, store};

#[tokio::test]
async fn a_payload_that_is_not_chat_is_kept_in_wire_form() {
    let text = |text: &str, encoding: Option<&str>| {
        (Data::Text(text.into()), encoding.map(ToOwned::to_owned))
    };
    let table = [
        (r#""data":"just text""#, text("just text", None)),
        (r#""data":"{\"text\":\"t\"}""#, text(r#"{"text":"t"}"#, None)),
        (r#""data":[1,2]"#, text("[1,2]", Some("json"))),
        (r#""data":5.50"#, text("5.50", Some("json"))),
        (r#""data":true"#, text("true", Some("json"))),
        (r#""data":{}"#, text("{}", Some("json"))),
        (r#""data":{"text":5}"#, text(r#"{"text":5}"#, Some("json"))),
        (r#""data":"{oops","encoding":"json""#, text("{oops", Some("json"))),
        (r#""data":"!","encoding":"json/base64""#, text("!", Some("json/base64"))),
        (
            r#""data":"eA","encoding":"json/rot13/base64""#,
            (Data::Bytes(b"x".to_vec()), Some("json/rot13".into())),
        ),
        (
            r#""data":"gA","encoding":"utf-8/base64""#,
            (Data::Bytes(vec![0x80]), Some("utf-8".into())),
        ),
        (
            r#""data":"gA","encoding":"vcdiff/base64""#,
            (Data::Bytes(vec![0x80]), Some("vcdiff".into())),
        ),
        (r#""data":"\ud83d""#, text(r#""\ud83d""#, Some("json"))),
        (r#""data":{"text":"half \ud83d"}"#, text(r#"{"text":"half \ud83d"}"#, Some("json"))),
    ];
    for (members, (data, encoding)) in table {
        let (_engine, store, report) = store(members).await;
        assert_eq!((report.stored, report.failed.len()), (1, 0), "{members}");
        let message = read(&store, "1").await.message;
        assert_eq!(message.text, "", "{members}");
        let raw = message.raw.unwrap_or_else(|| panic!("{members}: nothing kept"));
        assert_eq!((raw.data, raw.encoding), (data, encoding), "{members}");
    }
}

#[tokio::test]
async fn what_text_and_metadata_cannot_hold_is_kept_beside_them() {
    let (_engine, store, _) =
        store(r#""data":{"text":"t","metadata":"m","more":[1.0]},"encoding":"json""#).await;
    let message = read(&store, "1").await.message;
    assert_eq!((message.text.as_str(), message.metadata.as_str()), ("t", "{}"));
    let raw = message.raw.expect("the rest is kept");
    assert_eq!(raw.data, Data::Text(r#"{"metadata":"m","more":[1.0]}"#.into()));
    assert_eq!(raw.encoding.as_deref(), Some("json"));
}
