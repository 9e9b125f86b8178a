//! The order in which a request is looked at, and what is refused with which code.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::ask::Questions;
use super::credentials::{Credentials, Key, Opaque};
use super::identity;
use super::jwt::Jwt;
use super::keys::{HistoryKey, HistoryKeys};
use super::rate::{RateLimit, too_many};
use super::recent::{Digest, Recent, digest};
use super::request::{Caller, Operation, Request};
use crate::aws::secret::{Secret, SecretError};
use crate::history::error::ApiError;
use crate::history::upstream::Upstream;

/// How often within a minute a token is refused as one that its owner could renew. ably-js repeats
/// a request with the old token for as long as that is the answer (its issue 2193).
const MOST_REFUSALS: u32 = 10;
/// At which ably-js gets a new token (features spec RSC10).
const RENEWABLE: RangeInclusive<u32> = 40_140..=40_149;

/// Lets callers in.
#[derive(Debug)]
pub struct Gate {
    keys: Secret<HistoryKeys>,
    app_id: Option<String>,
    asks_ably: bool,
    questions: Questions,
    refusals: Recent,
    limit: RateLimit,
}

impl Gate {
    /// A gate for the rooms of `app_id` (`ABLY_APP_ID`), or without it for those of the keys' apps.
    /// `asks_ably` is `HISTORY_ASK_ABLY`.
    #[must_use]
    pub fn new(keys: Secret<HistoryKeys>, app_id: Option<String>, asks_ably: bool) -> Self {
        Self {
            keys,
            app_id,
            asks_ably,
            questions: Questions::new(),
            refusals: Recent::default(),
            limit: RateLimit::of_requests(),
        }
    }

    /// Who calls, if they may do what they ask for. Nothing is asked of Ably without `upstream`.
    ///
    /// # Errors
    /// When they may not, or nobody can tell now.
    pub async fn admit(
        &self,
        upstream: Option<&Upstream>,
        request: &Request<'_>,
    ) -> Result<Caller, ApiError> {
        let credentials = Credentials::of(request)?;
        let token = match &credentials {
            Credentials::Key(_) => None,
            Credentials::Jwt(jwt) => Some(digest(&[jwt.text.as_bytes()])),
            Credentials::Opaque(opaque) => Some(digest(&[opaque.token.as_bytes()])),
        };
        self.check_repeated(token.as_ref())?;
        let admitted = match credentials {
            Credentials::Key(key) => self.admit_key(request, &key).await,
            Credentials::Jwt(jwt) => self.admit_jwt(request, &jwt).await,
            Credentials::Opaque(opaque) => self.admit_opaque(upstream, request, &opaque).await,
        };
        if let (Err(error), Some(token)) = (&admitted, token)
            && RENEWABLE.contains(&error.code)
        {
            self.refusals.add(token);
        }
        admitted
    }

    /// Ends a repetition that nothing else ends.
    fn check_repeated(&self, token: Option<&Digest>) -> Result<(), ApiError> {
        match token {
            Some(token) if self.refusals.count(token) >= MOST_REFUSALS => {
                Err(too_many("this token was refused again and again: get a new one"))
            }
            _ => Ok(()),
        }
    }

    async fn admit_key(&self, request: &Request<'_>, given: &Key) -> Result<Caller, ApiError> {
        self.check_app_of_key(&given.name)?;
        let found = self.keys.find(|keys| keys.with_secret(&given.name, &given.secret)).await;
        let key = self.known(found, &given.name, "the API key's secret is wrong").await?;
        self.limit.take(&key.name)?;
        check_right(request, &key)?;
        Ok(Caller { client_id: identity::named(request)?, key_name: key.name.clone() })
    }

    async fn admit_jwt(&self, request: &Request<'_>, jwt: &Jwt) -> Result<Caller, ApiError> {
        self.check_app_of_key(&jwt.key_name)?;
        let signer =
            |keys: &HistoryKeys| keys.that_signed(&jwt.key_name, &jwt.text, &jwt.signature);
        let found = self.keys.find(signer).await;
        let key = self.known(found, &jwt.key_name, "the JWT's signature is not its key's").await?;
        jwt.check_times(request.now_ms)?;
        self.limit.take(&key.name)?;
        // Its rights are those that both have (Ably docs, "Capabilities").
        check_right(request, &key)?;
        if jwt.capability.as_ref().is_some_and(|it| !it.allows(request.room, request.operation)) {
            return Err(denied("the token's capability does not allow", request.operation));
        }
        let client_id = identity::of_token(jwt.client_id.as_deref(), identity::named(request)?)?;
        Ok(Caller { client_id, key_name: key.name.clone() })
    }

    async fn admit_opaque(
        &self,
        upstream: Option<&Upstream>,
        request: &Request<'_>,
        token: &Opaque,
    ) -> Result<Caller, ApiError> {
        let Some(upstream) = upstream.filter(|_| self.asks_ably) else {
            return Err(ApiError::refused(match token.is_embedded {
                true => {
                    "a JWT that carries an Ably token cannot be verified here: use an Ably JWT \
                     that an API key signed, or that key, or have HISTORY_ASK_ABLY=on set"
                }
                false => {
                    "an opaque Ably token cannot be verified here: use an Ably JWT or an API key, \
                     or have HISTORY_ASK_ABLY=on set"
                }
            }));
        };
        // Another app's token is good for a room of the same name, which is not the one that is
        // here.
        self.check_app(&token.app_id).await?;
        let client_id = identity::named(request)?;
        self.questions.check(upstream, request, token).await?;
        self.limit.take(&token.app_id)?;
        Ok(Caller { client_id, key_name: token.app_id.clone() })
    }

    fn check_app_of_key(&self, name: &str) -> Result<(), ApiError> {
        match (&self.app_id, name.split_once('.')) {
            (Some(expected), Some((app_id, _))) if expected != app_id => Err(other_app()),
            _ => Ok(()),
        }
    }

    async fn check_app(&self, app_id: &str) -> Result<(), ApiError> {
        let is_here = match &self.app_id {
            Some(expected) => expected == app_id,
            None => self.keys.check(|keys| keys.are_of(app_id)).await.map_err(|it| unread(&it))?,
        };
        is_here.then_some(()).ok_or_else(other_app)
    }

    /// The key that was found; or why there is none: an unknown one has a code of its own.
    async fn known(
        &self,
        found: Result<Option<Arc<HistoryKey>>, SecretError>,
        name: &str,
        otherwise: &'static str,
    ) -> Result<Arc<HistoryKey>, ApiError> {
        match found.map_err(|error| unread(&error))? {
            Some(key) => Ok(key),
            None if self.keys.get().await.map_err(|error| unread(&error))?.have(name) => {
                Err(ApiError::refused(otherwise))
            }
            None => Err(ApiError::new(401, 40_130, "the API key is not one of HISTORY_KEYS")),
        }
    }
}

fn check_right(request: &Request<'_>, key: &HistoryKey) -> Result<(), ApiError> {
    match key.capability.allows(request.room, request.operation) {
        true => Ok(()),
        false => Err(denied("the API key's capability does not allow", request.operation)),
    }
}

/// Ably error registry, 40160.
fn denied(what: &str, operation: Operation) -> ApiError {
    ApiError::new(401, 40_160, format!("{what} `{}` in this room", operation.capability()))
}

fn other_app() -> ApiError {
    ApiError::refused("these are credentials of another Ably app than the one whose rooms are here")
}

fn unread(error: &SecretError) -> ApiError {
    tracing::error!(reason = %error, "HISTORY_KEYS cannot be read");
    ApiError::unavailable("the keys that callers are verified with cannot be read now")
}
