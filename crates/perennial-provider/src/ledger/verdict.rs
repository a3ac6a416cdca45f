//! What each class says to a presented refresh token: RFC 9700 §4.14.2 and its departures.

use std::time::SystemTime;

use super::family::Link;
use crate::behaviour::RefreshClass;

/// What the class says to a presented token.
pub(super) enum Verdict {
    /// The same token stays.
    Keep,
    /// A new successor.
    Rotate,
    /// One more successor beside the first.
    RotateAgain,
    /// The successor it already has.
    Repeat { serial: u64 },
    /// Refused; nothing else dies.
    Refuse,
    /// Refused, and the family dies.
    RevokeFamily,
}

pub(super) fn judge(class: RefreshClass, link: &Link, successors: &[Link], now: SystemTime) -> Verdict {
    // The window counts from the first redemption, never from a repetition.
    let in_window = match (class.window(), link.redeemed_at) {
        (Some(window), Some(redeemed_at)) => now < redeemed_at + window,
        _ => false,
    };
    match (class, link.spent) {
        (RefreshClass::Reusable, _) => Verdict::Keep,
        (_, false) => Verdict::Rotate,
        (RefreshClass::Rotating, true) => Verdict::RevokeFamily,
        (RefreshClass::SingleUse, true) => Verdict::Refuse,
        (RefreshClass::Overlap { .. }, true) if in_window => Verdict::RotateAgain,
        (RefreshClass::Overlap { .. }, true) => Verdict::RevokeFamily,
        (RefreshClass::Idempotent { .. }, true) => match successors.iter().rev().find(|successor| !successor.spent) {
            Some(successor) if in_window => Verdict::Repeat { serial: successor.serial },
            _ => Verdict::Refuse,
        },
        (RefreshClass::Acknowledged, true) if successors.iter().any(|successor| successor.used) => Verdict::Refuse,
        (RefreshClass::Acknowledged, true) => Verdict::RotateAgain,
    }
}
