//! The thief: a spent refresh token is presented at the token endpoint by somebody else.

use std::time::Duration;

use super::stage::{Stage, Verdict};
use crate::dev::gate::MIN_INTERVAL;
use crate::dev::tab::End;

/// Takes a spent token out of an old cookie, which needs the secret, and presents it as a thief would.
pub(super) async fn theft(stage: &Stage) -> Verdict {
    stage.tell("Renewing once, so that the token before is spent.", None);
    let mut owner = stage.tab();
    owner.refresh().await;
    let old = stage.house.story().old_cookies(stage.session()).pop();
    let Some((generation, kept)) = old else {
        return Verdict::failed("No refresh token of this session has been spent yet.");
    };
    stage.tell(format!("The thief presents the refresh token of generation {generation}."), None);
    let loot = match stage.house.present_refresh_token_of(&kept.jar).await {
        Ok(answer) => answer,
        Err(error) => return Verdict::failed(error),
    };
    if loot.got_tokens {
        return Verdict::failed(format!(
            "The provider answered the thief {}: it does not watch for re-use.",
            loot.words
        ));
    }
    stage.tell("The family is revoked. The owner comes to renew.", None);
    // The engine lets a moment pass between two renewals of a session.
    tokio::time::sleep(MIN_INTERVAL + Duration::from_millis(100)).await;
    let renewal = owner.refresh().await;
    let after = match renewal.end {
        End::SignIn => "Your next renewal was refused: you sign in again",
        _ => "Your next renewal is refused: when the access token has run out you sign in again",
    };
    Verdict::of(
        false,
        format!(
            "The token of generation {generation} was spent. The thief got {}, and the provider revoked the family. {after}. That is the protocol’s limit: it cannot tell thief from owner.",
            loot.words
        ),
    )
}
