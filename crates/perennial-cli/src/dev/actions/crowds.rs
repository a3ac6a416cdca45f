//! Many at once, and late-comers: 50 at once, two tabs, an old cookie.

use std::time::Duration;

use futures_util::future::join_all;

use super::stage::{Stage, Verdict};
use crate::dev::state::now;
use crate::dev::tab::{End, Tab, Tally};
use crate::dev::view::duration;
use crate::dev::words::{counted, time};

const CROWD: usize = 50;

/// Fifty requests with the same cookie, right after the access token has expired.
pub(super) async fn storm(stage: &Stage) -> Verdict {
    let held = stage.until_expired().await;
    stage.tell("Expired. Sending 50 requests.", None);
    let mut crowd: Vec<Tab> = (0..CROWD).map(|_| stage.tab()).collect();
    let (tally, redeemed, at_provider) = together(stage, &mut crowd).await;
    drop(held);
    let after = time(tally.slowest.saturating_sub(at_provider));
    Verdict::of(
        tally.nobody_lost() && redeemed <= 1,
        format!(
            "{} requests, {}, {}, slowest {after} after the provider.",
            tally.sent,
            counted(redeemed, "redemption", "redemptions"),
            tally.words()
        ),
    )
}

/// Two copies of the cookie come at the same moment, twice; each keeps what it is given.
pub(super) async fn tabs(stage: &Stage) -> Verdict {
    let mut two = [stage.tab(), stage.tab()];
    let mut tally = Tally::default();
    let mut redeemed = 0;
    for _ in 0..2 {
        let _held = stage.until_expired().await;
        let (both, spent, _) = together(stage, &mut two).await;
        tally.sent += both.sent;
        tally.answered += both.answered;
        tally.come_back += both.come_back;
        tally.sign_in += both.sign_in;
        tally.dead_token += both.dead_token;
        tally.failed += both.failed;
        tally.slowest = tally.slowest.max(both.slowest);
        redeemed += spent;
    }
    Verdict::of(
        tally.nobody_lost() && redeemed <= 2,
        format!(
            "2 expiries, {} requests, {}, {}; slowest {}. Both tabs are still signed in.",
            tally.sent,
            counted(redeemed, "redemption", "redemptions"),
            tally.words(),
            time(tally.slowest)
        ),
    )
}

/// The oldest cookie at hand, after its access token has run out: nothing in it is good any more but its word.
pub(super) async fn stale(stage: &Stage) -> Verdict {
    if stage.house.story().old_cookies(stage.session()).is_empty() {
        stage.tell("There is no older generation yet: renewing once.", None);
        let reply = stage.tab().refresh().await;
        if reply.end != End::Answered {
            return Verdict::failed(format!(
                "The renewal that should make this cookie old was answered with {:?}.",
                reply.end
            ));
        }
    }
    let old = stage.house.story().old_cookies(stage.session()).into_iter().next();
    let Some((generation, kept)) = old else {
        return Verdict::failed("No cookie of an earlier generation has passed through here yet.");
    };
    while now() < kept.expires_at {
        let left = kept.expires_at - now();
        stage.tell(format!("The old cookie’s access token still counts, for {}.", duration(left + 999)), None);
        tokio::time::sleep(Duration::from_millis(left.clamp(1, 500).unsigned_abs())).await;
    }
    let before = stage.counts();
    let late = now() - kept.expires_at;
    let reply = stage.house.tab(kept.jar).ask().await;
    let spent = stage.counts().since(&before);
    let newest = stage.view().generation;
    let current = stage.tab().ask().await;
    Verdict::of(
        reply.end == End::Answered && current.end == End::Answered && spent.reused == 0,
        format!(
            "A cookie of generation {generation}, expired {} ago, was {} with generation {newest} in {}. {} at the provider; the good cookie was {}.",
            duration(late),
            ending(reply.end),
            time(reply.took),
            capital(&counted(spent.redemptions(), "redemption", "redemptions")),
            ending(current.end),
        ),
    )
}

/// All tabs ask at once: what came of it, the redemptions meanwhile, and how long the provider took.
async fn together(stage: &Stage, tabs: &mut [Tab]) -> (Tally, u64, Duration) {
    let before = stage.counts();
    let replies = join_all(tabs.iter_mut().map(Tab::ask)).await;
    let mut tally = Tally::default();
    tally.extend(replies);
    let redeemed = stage.counts().since(&before).redemptions();
    let at_provider = stage.house.story().last_provider_time(stage.session());
    (tally, redeemed, at_provider)
}

fn ending(end: End) -> &'static str {
    match end {
        End::Answered => "answered",
        End::ComeBack => "told to come back",
        End::SignIn => "sent to sign in",
        End::DeadToken => "given a dead token",
        End::Other(_) | End::Cut => "refused",
    }
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
