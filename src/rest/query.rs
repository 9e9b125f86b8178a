//! Queries, and how many items they ask for.

/// Ably's most (Chat docs, "History").
pub const PAGE_LIMIT: u32 = 1_000;

/// The query of the first page of what was created from `start` until `end`, in ms since the epoch.
/// Both names of the order: Ably's documents say `orderBy`, and its service reads `direction`.
#[must_use]
pub fn history_query(start: i64, end: i64) -> String {
    format!("start={start}&end={end}&limit={PAGE_LIMIT}&direction=forwards&orderBy=oldestFirst")
}

/// The same page in half the size; `None` if it could not be smaller. Links carry the limit beside
/// their cursor (`chat.yaml`, example of `Link`).
pub(super) fn halved(query: &str) -> Option<String> {
    limited(query, limit(query) / 2)
}

/// The same page with at most this number of items; `None` for none.
pub(super) fn limited(query: &str, limit: u32) -> Option<String> {
    let limit = (limit > 0).then(|| format!("limit={limit}"))?;
    let others = query.split('&').filter(|it| !it.is_empty() && !it.starts_with("limit="));
    Some(others.chain([limit.as_str()]).collect::<Vec<_>>().join("&"))
}

/// The number of items that it asks for at most.
pub(super) fn limit(query: &str) -> u32 {
    let mut limit = query.split('&').filter_map(|it| it.strip_prefix("limit=")?.parse().ok());
    limit.next_back().unwrap_or(PAGE_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_can_be_halved_until_it_holds_one_item() {
        let half = halved(&history_query(1, 2)).unwrap();
        assert_eq!(half, "start=1&end=2&direction=forwards&orderBy=oldestFirst&limit=500");
        assert_eq!(halved("cursor=a%26limit%3D4&limit=3").unwrap(), "cursor=a%26limit%3D4&limit=1");
        assert_eq!(halved("cursor=a").unwrap(), "cursor=a&limit=500");
        assert_eq!(halved("").unwrap(), "limit=500");
        assert_eq!(halved("cursor=a&limit=1"), None);
    }
}
