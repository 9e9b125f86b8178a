//! `HISTORY_KEYS`: the API keys that open the archive, themselves or by tokens that they signed.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::capability::Capability;
use crate::ably::is_signed;
use crate::mistake::Mistake;

const EXPECTED: &str = "expected Ably API keys, APPID.KEYID:SECRET, separated by commas, or JSON: \
                        [{\"key\":\"APPID.KEYID:SECRET\",\"capability\":{\"*\":[\"history\"]}}]";

/// Keys, and what each may do. `Debug` hides their secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct HistoryKeys(Vec<Arc<HistoryKey>>);

/// One of them.
#[derive(PartialEq, Eq)]
pub(super) struct HistoryKey {
    app_id: String,
    /// `APPID.KEYID`.
    pub(super) name: String,
    secret: String,
    /// Ably does not show it with the key: the Control API does (`GET /apps/{app_id}/keys`).
    pub(super) capability: Capability,
}

/// An entry of the JSON form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: String,
    #[serde(default = "Capability::all")]
    capability: Capability,
}

impl HistoryKeys {
    /// Reads `APPID.KEYID:SECRET`, any number of them, separated by commas or white space; or a
    /// JSON array of objects with `key` and, unless it may do everything, `capability`.
    ///
    /// # Errors
    /// When there is none, or one is something else; the error does not quote it.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let entries: Vec<Entry> = if text.trim_start().starts_with('[') {
            // What serde says may quote a secret.
            serde_json::from_str(text).map_err(|error| {
                format!("{EXPECTED}; line {}, column {}", error.line(), error.column())
            })?
        } else {
            let words = text.split(|c: char| c == ',' || c.is_whitespace());
            let words = words.filter(|word| !word.is_empty());
            words.map(|key| Entry { key: key.into(), capability: Capability::all() }).collect()
        };
        let keys: Option<Vec<_>> = entries.into_iter().map(HistoryKey::of).collect();
        let keys = keys.filter(|keys| !keys.is_empty());
        keys.map(Self).ok_or_else(|| EXPECTED.into())
    }

    /// Checks that the keys are of the app that `ABLY_APP_ID` names; without one, any will do.
    ///
    /// # Errors
    /// When one is another app's: its owner would read this app's rooms.
    pub fn check_app(&self, expected: Option<&str>) -> Result<(), Mistake> {
        let Some(expected) = expected else { return Ok(()) };
        match self.0.iter().find(|key| key.app_id != expected) {
            None => Ok(()),
            Some(key) => {
                let app_id = &key.app_id;
                Err(format!("a key of app {app_id:?}, but ABLY_APP_ID is {expected:?}").into())
            }
        }
    }

    /// Whether there is a key of the app.
    pub(super) fn are_of(&self, app_id: &str) -> bool {
        self.0.iter().any(|key| key.app_id == app_id)
    }

    /// Whether there is a key of the name, which is not secret.
    pub(super) fn have(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// The key of the name and the secret, compared in constant time.
    pub(super) fn with_secret(&self, name: &str, secret: &str) -> Option<Arc<HistoryKey>> {
        let is_it = |key: &&Arc<HistoryKey>| key.secret.as_bytes().ct_eq(secret.as_bytes()).into();
        self.named(name).find(is_it).cloned()
    }

    /// The key of the name that made the signature.
    pub(super) fn that_signed(
        &self,
        name: &str,
        text: &str,
        signature: &[u8],
    ) -> Option<Arc<HistoryKey>> {
        self.named(name).find(|key| is_signed(&key.secret, text.as_bytes(), signature)).cloned()
    }

    /// Several while a secret takes another's place.
    fn named(&self, name: &str) -> impl Iterator<Item = &Arc<HistoryKey>> {
        self.0.iter().filter(move |key| key.name == name)
    }
}

impl HistoryKey {
    fn of(entry: Entry) -> Option<Arc<Self>> {
        let (name, secret) = entry.key.trim().split_once(':')?;
        let (app_id, key_id) = name.split_once('.')?;
        let is_whole = [app_id, key_id, secret].iter().all(|part| !part.is_empty());
        is_whole.then(|| {
            Arc::new(Self {
                app_id: app_id.into(),
                name: name.into(),
                secret: secret.into(),
                capability: entry.capability,
            })
        })
    }
}

impl fmt::Debug for HistoryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| format!("{}:…", key.name))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::Operation;
    use super::*;
    use crate::chat::RoomName;

    #[test]
    fn keys_are_read_from_a_list_or_from_json() {
        let list = HistoryKeys::parse(" app.one:s3cret,\napp.two:s3c:ret\n").unwrap();
        let json = r#" [{"key":"app.one:s3cret"},{"key":"app.two:s3c:ret"}]"#;
        assert_eq!(list, HistoryKeys::parse(json).unwrap());
        assert!(list.with_secret("app.two", "s3c:ret").is_some());
        assert!(list.with_secret("app.two", "s3c:re").is_none());
        assert!(list.with_secret("app.one", "s3c:ret").is_none());
        assert!(list.have("app.one") && !list.have("app") && list.are_of("app"));
    }

    #[test]
    fn a_key_may_have_a_capability() {
        let json = r#"[{"key":"a.k:s","capability":{"support:*":["history"]}}]"#;
        let keys = HistoryKeys::parse(json).unwrap();
        let key = keys.with_secret("a.k", "s").unwrap();
        let allows = |room: &str| key.capability.allows(&RoomName(room.into()), Operation::History);
        assert!(allows("support:1") && !allows("sales:1"));
    }

    #[test]
    fn secrets_are_never_shown() {
        let keys = HistoryKeys::parse("app.key:s3cret").unwrap();
        assert_eq!(format!("{keys:?}"), r#"["app.key:…"]"#);
        let wrong = [
            "",
            ",",
            "s3cret",
            "app:s3cret",
            ".key:s3cret",
            "app.:s3cret",
            "app.key:",
            "[]",
            r#"["app.key:s3cret"]"#,
            r#"[{"key":"s3cret"}]"#,
            r#"[{"s3cret":"app.key:s"}]"#,
            r#"[{"key":"app.key:s3cret","capability":"s3cret"}]"#,
        ];
        for text in wrong {
            let Mistake(error) = HistoryKeys::parse(text).unwrap_err();
            assert!(error.starts_with(EXPECTED) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn keys_are_of_the_app_whose_rooms_are_here() {
        let keys = HistoryKeys::parse("app.key:s3cret,other.key:s3cret").unwrap();
        assert_eq!(keys.check_app(None), Ok(()));
        let Mistake(error) = keys.check_app(Some("app")).unwrap_err();
        assert_eq!(error, r#"a key of app "other", but ABLY_APP_ID is "app""#);
    }
}
