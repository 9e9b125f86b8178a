//! The `Link` header of paged answers.

/// The query of the link `rel="next"`; `None` at the end. Only the query is ever followed, on the
/// path that was asked, as Ably's SDKs do: a link cannot send the key elsewhere. Ably's pages show
/// one header for each link, and one for all.
pub(crate) fn next<'a>(headers: impl Iterator<Item = &'a str>) -> Option<String> {
    headers.flat_map(links).find(|(_, is_next)| *is_next).map(|(url, _)| {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        query.split('#').next().unwrap_or_default().to_owned()
    })
}

/// The URLs of a header, and whether each is the next page's. They stand in angle brackets and may
/// hold anything but these.
fn links(header: &str) -> impl Iterator<Item = (&str, bool)> {
    header.split('<').skip(1).filter_map(|part| {
        let (url, parameters) = part.split_once('>')?;
        let is_next = parameters.split(';').any(|parameter| {
            let rel = parameter.trim().trim_end_matches(',').trim().strip_prefix("rel=");
            rel.is_some_and(|rel| rel.trim_matches('"').split(' ').any(|rel| rel == "next"))
        });
        Some((url, is_next))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_query_is_found_in_every_form() {
        let query = Some("cursor=a%40b%3A000&direction=forwards&limit=100".to_owned());
        let first = r#"<./messages?limit=100>; rel="first""#;
        let link = r#"<./messages?cursor=a%40b%3A000&direction=forwards&limit=100>; rel="next""#;
        assert_eq!(next([first, link].into_iter()), query);
        let joined = format!("{link}, {first}");
        assert_eq!(next([joined.as_str()].into_iter()), query);
        let joined = format!(r#"{first}, <./messages?x=1,2>; rel="current",{link}"#);
        assert_eq!(next([joined.as_str()].into_iter()), query);
        let elsewhere = r#"<https://elsewhere.example/messages?cursor=1#f>; rel=next; title="x""#;
        assert_eq!(next([elsewhere].into_iter()).as_deref(), Some("cursor=1"));
    }

    #[test]
    fn no_next_is_the_end() {
        for header in ["", r#"<./messages?a=1>; rel="first""#, "<./messages", "next", "<>;rel=prev"]
        {
            assert_eq!(next([header].into_iter()), None, "{header}");
        }
        assert_eq!(next(["<./messages>; rel=next"].into_iter()).as_deref(), Some(""));
    }
}
