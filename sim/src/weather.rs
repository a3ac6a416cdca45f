//! What happens to whole machines: outages, crashes, shutdowns, pauses, cut lines, a store that forgets, new secrets.

use std::sync::Arc;

use crate::dice::Dice;
use crate::fleet::Fleet;
use crate::scenario::Millis;
use crate::world::{World, sleep};

#[derive(Clone, Copy)]
enum Blow {
    Outage,
    Crash,
    Drain,
    Partition,
    Pause,
    TailLoss,
}

/// Deals the blows of the scenario at random moments of its faulty part, in order.
pub(crate) async fn blow(world: Arc<World>, fleet: Arc<Fleet>, mut dice: Dice) {
    let rates = world.scenario.rates;
    let counts = [
        (Blow::Outage, rates.outages),
        (Blow::Crash, rates.crashes),
        (Blow::Drain, rates.drains),
        (Blow::Partition, rates.partitions),
        (Blow::Pause, rates.pauses),
        (Blow::TailLoss, rates.tail_losses),
    ];
    let blows = counts.iter().flat_map(|(blow, count)| (0..*count).map(|_| *blow));
    let length = world.scenario.length;
    let mut dealt: Vec<(Millis, Blow)> = blows.map(|blow| (dice.between(length / 20, length), blow)).collect();
    dealt.sort_by_key(|(at, _)| *at);
    for (at, blow) in dealt {
        sleep(at.saturating_sub(world.now())).await;
        let dice = Dice::new(dice.next(), "blow");
        tokio::spawn(deal(world.clone(), fleet.clone(), blow, dice));
    }
}

async fn deal(world: Arc<World>, fleet: Arc<Fleet>, blow: Blow, mut dice: Dice) {
    let now = world.now();
    let replica = dice.below(fleet.len() as u64) as usize;
    match blow {
        Blow::Outage => {
            let lasts = dice.between(2_000, world.scenario.lifetime.max(120_000));
            let swallows = dice.chance(400);
            world.note(format_args!("provider is down for {lasts} ms, swallowing: {swallows}"));
            let mut weather = world.weather();
            weather.down_until = weather.down_until.max(now + lasts);
            weather.outages.push((now, now + lasts));
            weather.swallows = swallows;
        }
        Blow::Crash => {
            await_call(&world, &mut dice).await;
            fleet.kill(replica);
            sleep(dice.pick(&[300, 2_000, 20_000, 60_000])).await;
            fleet.boot(replica);
        }
        Blow::Drain => {
            fleet.stop(replica).await;
            sleep(dice.between(300, 5_000)).await;
            fleet.boot(replica);
        }
        Blow::Partition => {
            let lasts = dice.between(1_000, 90_000);
            if let Some(engine) = fleet.running(replica) {
                world.note(format_args!("{} is cut off from the store for {lasts} ms", engine.life));
                engine.life.partition(now + lasts);
            }
        }
        Blow::Pause => {
            await_call(&world, &mut dice).await;
            if let Some(engine) = fleet.running(replica) {
                let lasts = dice.between(500, 30_000);
                world.note(format_args!("{} stands still for {lasts} ms", engine.life));
                engine.life.pause(world.now(), world.now() + lasts);
            }
        }
        Blow::TailLoss => {
            let since = now.saturating_sub(dice.between(100, 3_000));
            let lost = world.shelf().lose_tail(since);
            world.note(format_args!("the store loses its last {lost} writes"));
            if lost > 0 {
                let mut book = world.book();
                book.tail_lost = true;
                book.losses.push(since..=now);
            }
            world.shelf_changed.notify_waiters();
        }
    }
}

/// Most crashes are aimed: they wait, within reason, for a moment at which a renewal is under way, and then a little longer.
async fn await_call(world: &World, dice: &mut Dice) {
    if dice.chance(300) {
        return;
    }
    let seen = world.book().calls.len();
    for _ in 0..400 {
        sleep(50).await;
        if world.book().calls.len() > seen {
            return sleep(dice.between(0, 120)).await;
        }
    }
}

/// The end of all faults: everything works from here on.
pub(crate) fn clear_up(world: &World, fleet: &Fleet) {
    world.note(format_args!("all faults are over"));
    {
        let mut weather = world.weather();
        weather.calm = true;
        weather.down_until = 0;
    }
    for replica in 0..fleet.len() {
        fleet.boot(replica);
        if let Some(engine) = fleet.running(replica) {
            engine.life.partition(0);
        }
    }
}
