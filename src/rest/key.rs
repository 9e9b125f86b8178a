//! API keys.

use std::fmt;

use base64::Engine;
use reqwest::header::HeaderValue;

use crate::ably::BASE64;
use crate::mistake::Mistake;

/// An API key, `APPID.KEYID:SECRET`.
#[derive(Clone)]
pub struct ApiKey {
    app_id: String,
    pub(super) header: HeaderValue,
}

impl ApiKey {
    /// Reads a key.
    ///
    /// # Errors
    /// When the text has not the form of one; the error does not quote it.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let text = text.trim();
        let app_id = text.split_once(':').and_then(|(name, secret)| {
            let (app_id, key_id) = name.split_once('.')?;
            let is_key = !app_id.is_empty() && !key_id.is_empty() && !secret.is_empty();
            is_key.then(|| app_id.to_owned())
        });
        let app_id = app_id.ok_or("expected an Ably API key, APPID.KEYID:SECRET")?;
        let value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(text)));
        let mut header = value.map_err(|_| "not an API key")?;
        header.set_sensitive(true);
        Ok(Self { app_id, header })
    }

    /// The app whose rooms it opens: the part before the first dot.
    #[must_use]
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    /// Checks that the key is of the app that `ABLY_APP_ID` names; without one, any key will do.
    ///
    /// # Errors
    /// When it is another app's: it would bring that app's rooms into the table.
    pub fn check_app(&self, expected: Option<&str>) -> Result<(), Mistake> {
        match expected {
            Some(expected) if expected != self.app_id => Err(Mistake(format!(
                "a key of app {:?}, but ABLY_APP_ID is {expected:?}",
                self.app_id
            ))),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_checked_and_never_shown() {
        let key = ApiKey::parse("app.key:s3cret\n").unwrap();
        assert!(!format!("{key:?} {:?}", key.header).contains("s3cret"));
        for bad in ["", "app.key", "app:secret", ".key:secret", "app.key:", "app.:s"] {
            let Mistake(error) = ApiKey::parse(bad).unwrap_err();
            assert!(error.starts_with("expected an Ably API key"), "{bad}");
        }
    }

    #[test]
    fn a_key_names_its_app() {
        let key = ApiKey::parse("staging.key:s3cret.with:marks").unwrap();
        assert_eq!(key.app_id(), "staging");
        assert!(key.check_app(None).is_ok() && key.check_app(Some("staging")).is_ok());
        let Mistake(error) = key.check_app(Some("prod")).unwrap_err();
        assert_eq!(error, "a key of app \"staging\", but ABLY_APP_ID is \"prod\"");
    }
}
