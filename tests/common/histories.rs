//! Random chat histories, and random ways for them to arrive.

use ably_chat_exporter::chat::Action;
use proptest::prelude::*;

use super::{Delivery, EPOCH, Op, OpKind, ROOMS};

/// Histories of several messages in several rooms: creates, updates, deletes, summaries.
pub fn history() -> impl Strategy<Value = Vec<Op>> {
    let version = prop_oneof![3 => Just(Action::Update), 1 => Just(Action::Delete)];
    let riding = || proptest::option::weighted(0.2, 0..5_u64);
    let summaries = || proptest::collection::vec(0..5_u64, 0..3);
    let create = (riding(), summaries());
    let later = proptest::collection::vec((version, riding(), summaries()), 0..4);
    let message = (0..ROOMS.len(), create, later);
    proptest::collection::vec(message, 1..6).prop_map(|messages| {
        let mut ops = Vec::new();
        for (number, (room, (riding, summaries), later)) in (0..).zip(messages) {
            let versions = std::iter::once((Action::Create, riding, summaries)).chain(later);
            for (version, (action, riding, summaries)) in (0..).zip(versions) {
                let op = |kind| Op { room, message: number, version, kind };
                ops.push(op(OpKind::Version(action, riding)));
                ops.extend(summaries.into_iter().map(|total| op(OpKind::Summary(total))));
            }
        }
        ops
    })
}

/// The history shuffled, some of it sent twice, cut into payloads, some of those redelivered.
pub fn deliveries(history: Vec<Op>) -> impl Strategy<Value = Vec<Delivery>> {
    let length = history.len();
    let twice = proptest::collection::vec(any::<bool>(), length);
    let sent = twice.prop_flat_map(move |twice| {
        let again = history.iter().zip(twice).filter(|(_, twice)| *twice).map(|(op, _)| op.clone());
        Just(history.iter().cloned().chain(again).collect::<Vec<_>>()).prop_shuffle()
    });
    let cuts = proptest::collection::vec((1..5_usize, any::<bool>()), 2 * length);
    (sent, cuts).prop_map(|(mut ops, cuts)| {
        let mut deliveries: Vec<Delivery> = Vec::new();
        for (number, (size, again)) in cuts.into_iter().enumerate() {
            if ops.is_empty() {
                break;
            }
            let rest = ops.split_off(size.min(ops.len()));
            // Not the order in which they are taken in.
            let received_at = EPOCH + [2, 0, 1][number % 3];
            let delivery = Delivery { id: format!("delivery-{number}"), received_at, ops };
            if again && deliveries.len() % 2 == 1 {
                deliveries.insert(deliveries.len() / 2, delivery.clone());
            }
            deliveries.push(delivery);
            ops = rest;
        }
        deliveries
    })
}

/// One summary of each version at most: what the deliveries' order decides is not asked here,
/// since a crash leaves it open.
pub fn ordered_by_version(history: Vec<Op>) -> Vec<Op> {
    let mut kept: Vec<Op> = Vec::new();
    for mut op in history {
        if let OpKind::Version(_, riding) = &mut op.kind {
            *riding = None;
        }
        let same = |other: &Op| {
            (other.message, other.version) == (op.message, op.version)
                && matches!((&other.kind, &op.kind), (OpKind::Summary(_), OpKind::Summary(_)))
        };
        if !kept.iter().any(same) {
            kept.push(op);
        }
    }
    kept
}
