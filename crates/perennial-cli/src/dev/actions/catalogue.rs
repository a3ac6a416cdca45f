//! The ten experiments in words: what each does here, and what the measured systems did with the same.
//!
//! The figures are from one run of all systems side by side; the page says so beneath them.

/// One experiment as the page offers it.
#[derive(Debug)]
pub(in crate::dev) struct Experiment {
    /// As in `/demo/api/actions/{name}` and in the page's ids.
    pub(in crate::dev) name: &'static str,
    pub(in crate::dev) title: &'static str,
    pub(in crate::dev) here: &'static str,
    pub(in crate::dev) elsewhere: &'static str,
    /// The explanation further down the page.
    pub(in crate::dev) about: &'static str,
}

/// In the order in which they are offered.
pub(in crate::dev) const EXPERIMENTS: [Experiment; 10] = [
    Experiment {
        name: "refresh",
        title: "Refresh Token",
        here: "Redeems the refresh token now, whatever the age of the access token.",
        elsewhere: "Auth.js calling auth() twice in a request, as the tutorial behind this project does, lost its \
                    session at the very first renewal, with nothing in parallel.",
        about: "#about-renewal",
    },
    Experiment {
        name: "storm",
        title: "50 at once",
        here: "Waits until the access token has really expired, then sends 50 requests with the same cookie.",
        elsewhere: "Auth.js and express-openid-connect spent the same refresh token 50 times and answered none of the \
                    50: the provider took it for theft. mod_auth_openidc 2.4.20 spent it once, in 510 to 670 ms.",
        about: "#about-waiting",
    },
    Experiment {
        name: "tabs",
        title: "Two tabs race",
        here: "Two tabs with their own copy of the cookie come at the same moment, for two expiries in a row.",
        elsewhere: "Two requests were enough: Auth.js, express-openid-connect and mod_auth_openidc 2.4.12 spent the \
                    token twice, answered neither and lost the session. 2.4.20 answered both, after 508 ms.",
        about: "#about-waiting",
    },
    Experiment {
        name: "stale",
        title: "Come back with an old cookie",
        here: "Presents a cookie from an earlier generation, whose refresh token was spent long ago.",
        elsewhere: "With Auth.js and express-openid-connect the old cookie revoked the grant, and the tab with the good \
                    cookie went down with it. mod_auth_openidc keeps its sessions at the server and did not care.",
        about: "#about-stale",
    },
    Experiment {
        name: "outage",
        title: "Provider down for 10\u{a0}s",
        here: "When a renewal is due, the token endpoint answers 503 for ten seconds. The page keeps asking.",
        elsewhere: "After 3 s of it, Auth.js by its guide asked for a new sign-in at every request from then on; \
                    mod_auth_openidc 2.4.20 went on answering 502 for 27 s after the provider was back.",
        about: "#about-outage",
    },
    Experiment {
        name: "lost",
        title: "Lose the provider’s reply",
        here: "The provider rotates, then hangs up before its answer is out. Just here it takes a token again for 10 s, as \
               Okta and Hydra do.",
        elsewhere: "Where the provider lets a token be used again for 10 s, mod_auth_openidc 2.4.20 alone spared the user \
                    an error. With a strict provider every system lost the session; no client can undo that.",
        about: "#about-lost",
    },
    Experiment {
        name: "slow",
        title: "Provider slow (2\u{a0}s)",
        here: "The token endpoint takes two seconds over the next renewal, while requests keep coming.",
        elsewhere: "At 200 ms, 50 requests to mod_auth_openidc 2.4.20 took up to 598 ms, because whoever waits looks again \
                    every 500 ms. Auth.js took 429 ms to lose the session.",
        about: "#about-waiting",
    },
    Experiment {
        name: "restart",
        title: "Restart the gateway now",
        here: "Kills the gateway with all its connections, tasks and memory; the file on disk is all it comes back with.",
        elsewhere: "After kill -9, mod_auth_openidc had forgotten every session. Auth.js and express-openid-connect kept \
                    theirs in the cookie, but lost them when the kill came in the middle of a renewal.",
        about: "#about-restart",
    },
    Experiment {
        name: "theft",
        title: "Steal the refresh token and replay it",
        here: "A thief presents a refresh token of yours that has been spent. This one ends the session, as it must.",
        elsewhere: "The same everywhere: the provider cannot tell thief from owner and revokes the family. With Auth.js \
                    and express-openid-connect, two parallel requests of an honest user set off the very same alarm.",
        about: "#about-theft",
    },
    Experiment {
        name: "secret",
        title: "Rotate the cookie secret",
        here: "Puts a new secret first. Cookies under the old one still open, and are sealed anew with the next answer.",
        elsewhere: "oauth2-proxy knows a single cookie secret, so that changing it signs everybody out (read in its \
                    source, not measured). Auth.js takes a list, as Perennial does.",
        about: "#about-secret",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_explanation_is_on_the_page() {
        let page = include_str!("../page/about.html");
        for (i, one) in EXPERIMENTS.iter().enumerate() {
            assert!(EXPERIMENTS[i + 1..].iter().all(|other| other.name != one.name));
            let id = format!("id=\"{}\"", &one.about[1..]);
            assert!(page.contains(&id), "{id} is not in about.html");
        }
    }
}
