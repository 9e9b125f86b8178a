//! Which client calls (Ably docs, "Identified clients"; features spec RSA7).

use super::encoding;
use super::request::Request;
use crate::history::error::ApiError;

/// Base64 of the client id (features spec RSA7e2).
pub(super) const CLIENT_ID_HEADER: &str = "x-ably-clientid";
/// A token's claim that its bearer may be any client, which is nobody's name.
const ANYBODY: &str = "*";

/// The client that a request says it is from, by header or parameter.
pub(super) fn named(request: &Request<'_>) -> Result<Option<String>, ApiError> {
    let by_header = match request.headers.get(CLIENT_ID_HEADER) {
        None => None,
        Some(value) => {
            let text = value.to_str().ok().and_then(|text| encoding::decode_text(text.trim()));
            Some(text.ok_or_else(|| mismatch("X-Ably-ClientId is not base64 of a client id"))?)
        }
    };
    let by_header = by_header.filter(|name| !name.is_empty());
    let by_query = request.query_client_id.filter(|name| !name.is_empty());
    match (by_header, by_query) {
        (Some(header), Some(query)) if header != query => {
            Err(mismatch("X-Ably-ClientId and the parameter clientId name two clients"))
        }
        (header, query) => match header.or(query.map(ToOwned::to_owned)) {
            Some(name) if name == ANYBODY => Err(mismatch("the clientId `*` is no client's")),
            name => Ok(name),
        },
    }
}

/// The client that a token's bearer is, who says to be `named`: the token's own, any if it allows
/// any, and else none (`ably-server`, DESIGN 3.2).
pub(super) fn of_token(
    claim: Option<&str>,
    named: Option<String>,
) -> Result<Option<String>, ApiError> {
    match (claim.filter(|claim| !claim.is_empty()), named) {
        (Some(ANYBODY), named) => Ok(named),
        (Some(claim), Some(named)) if claim != named => {
            Err(mismatch("the request's clientId is not the token's"))
        }
        (Some(claim), _) => Ok(Some(claim.to_owned())),
        (None, Some(_)) => Err(mismatch("the request has a clientId, and its token has none")),
        (None, None) => Ok(None),
    }
}

/// An invalid client id (Ably error registry).
fn mismatch(message: &'static str) -> ApiError {
    ApiError::new(400, 40_012, message)
}
