//! The reactions of one client, cut out of a message's (Ably docs, "Message reactions"; Chat spec
//! CHA-MR13).

use crate::chat::Reactions;

/// Of all reactions those that the client has part in: it alone is named, totals count everybody.
/// Of a summary that was cut short, whoever is not named cannot be told.
pub(super) fn of_client(mut reactions: Reactions, client_id: &str) -> Reactions {
    for names in [&mut reactions.unique, &mut reactions.distinct] {
        names.retain(|_, list| list.client_ids.iter().any(|id| id == client_id));
        names.values_mut().for_each(|list| list.client_ids = vec![client_id.to_owned()]);
    }
    reactions.multiple.retain(|_, counts| counts.client_ids.contains_key(client_id));
    for counts in reactions.multiple.values_mut() {
        counts.client_ids.retain(|id, _| id == client_id);
    }
    reactions
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::chat::{ClientIdCounts, ClientIdList};

    #[test]
    fn others_are_counted_and_not_named() {
        let list = |ids: &[&str]| ClientIdList {
            total: 9,
            client_ids: ids.iter().map(ToString::to_string).collect(),
            ..ClientIdList::default()
        };
        let counts = |ids: &[(&str, u64)]| ClientIdCounts {
            total: 7,
            client_ids: ids.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect(),
            ..ClientIdCounts::default()
        };
        let reactions = Reactions {
            unique: BTreeMap::from([("a".into(), list(&["bob"]))]),
            distinct: BTreeMap::from([("b".into(), list(&["ana", "bob"]))]),
            multiple: BTreeMap::from([("c".into(), counts(&[("ana", 3), ("bob", 4)]))]),
        };
        let ana = of_client(reactions, "ana");
        assert!(ana.unique.is_empty());
        assert_eq!(
            (&ana.distinct["b"].client_ids[..], ana.distinct["b"].total),
            (&["ana".into()][..], 9)
        );
        assert_eq!(ana.multiple["c"].client_ids, BTreeMap::from([("ana".into(), 3)]));
        assert_eq!(ana.multiple["c"].total, 7);
    }
}
