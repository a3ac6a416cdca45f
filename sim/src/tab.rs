//! What people do: tabs that ask in bursts, press the button, sign out and in again; and copies of a jar that come back late.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::browser::{Answer, Browser, Wish};
use crate::dice::Dice;
use crate::provider::parsed;
use crate::scenario::Millis;
use crate::world::{World, sleep};

/// One tab, until the faulty part of the run is over.
pub(crate) async fn live(world: Arc<World>, browser: Arc<Browser>, mut dice: Dice) {
    let think = world.scenario.lifetime / 5;
    while !world.calm() {
        // Now and then somebody goes away for longer than a token lives.
        let away = if dice.chance(60) { world.scenario.lifetime * 3 / 2 } else { 0 };
        sleep(dice.between(50, think) + away).await;
        if !browser.has_session() {
            browser.sign_in(&mut dice).await;
            continue;
        }
        let burst = dice.weighted(&[0, 4, 2, 1, 1]);
        let asks = (0..burst).map(|_| {
            let wish = wish(&mut dice);
            let (world, browser, dice) = (world.clone(), browser.clone(), Dice::new(dice.next(), "request"));
            async move { ask(&world, &browser, wish, dice).await }
        });
        join_all(asks.collect::<Vec<_>>()).await;
    }
}

/// A copy of a jar, as a restored backup or a second device is: it comes seldom, and mostly with old cookies.
pub(crate) async fn haunt(world: Arc<World>, original: Arc<Browser>, ghost: Arc<Browser>, mut dice: Dice) {
    while !world.calm() {
        if dice.chance(500) || !ghost.has_session() {
            ghost.copy_from(&original);
        }
        sleep(dice.between(1_000, world.scenario.lifetime * 3 / 2)).await;
        if ghost.has_session() {
            ask(&world, &ghost, Wish::Data, Dice::new(dice.next(), "request")).await;
        }
    }
}

/// Asks, and does what a gateway does when its upstream refuses the token it was given.
async fn ask(world: &World, browser: &Browser, wish: Wish, mut dice: Dice) -> Option<Answer> {
    let answer = browser.ask(wish, &mut dice).await?;
    let bearer = answer.body["bearer"].as_str().and_then(|bearer| parsed("at", bearer));
    if let Some((family, access)) = bearer
        && !world.provider().accepts(family, access, world.now())
    {
        let seen = answer.body["generation"].as_u64().unwrap_or(0);
        browser.ask(Wish::Unauthorized(seen), &mut dice).await;
    }
    Some(answer)
}

fn wish(dice: &mut Dice) -> Wish {
    match dice.weighted(&[75, 14, 9, 1]) {
        0 => Wish::Data,
        1 => Wish::Session,
        2 => Wish::Refresh,
        _ => Wish::SignOut,
    }
}

/// When all faults are over, every session that is not over is served, and can be renewed: L1.
pub(crate) async fn settle(world: Arc<World>, browser: Arc<Browser>, mut dice: Dice) {
    let limit = world.now() + world.scenario.lifetime * 2 + SETTLING;
    let mut served = false;
    while browser.has_session() {
        let wish = if served { Wish::Refresh } else { Wish::Data };
        let answer = ask(&world, &browser, wish, Dice::new(dice.next(), "request")).await;
        let good = answer.as_ref().is_some_and(|answer| answer.status == 200);
        if served && good && answer.as_ref().is_some_and(|answer| answer.body["renewed"] == true) {
            return;
        }
        served |= good && is_accepted(&world, answer.as_ref());
        if world.now() > limit {
            let sentence = format!("{} is served: {served}, and cannot renew although all is well again", browser.name);
            return world.book().accuse("L1", sentence);
        }
        sleep(dice.between(2_000, 8_000)).await;
    }
}

fn is_accepted(world: &World, answer: Option<&Answer>) -> bool {
    let bearer = answer.and_then(|answer| answer.body["bearer"].as_str());
    bearer
        .and_then(|bearer| parsed("at", bearer))
        .is_some_and(|(family, access)| world.provider().accepts(family, access, world.now()))
}

/// Lease, drain, back-off and the longest hold, and some.
const SETTLING: Millis = 200_000;
