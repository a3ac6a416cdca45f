//! What the page shows, as values: the same ones fill the HTML of the first answer and the events that follow it.
//!
//! Every sentence is written on this side, so that the page's scripts carry no text of their own.

use serde::Serialize;

/// Milliseconds since the Unix epoch.
pub(super) type Millis = i64;

/// The signed-in person and the session's clocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct SessionView {
    /// The public fingerprint of the session; no secret.
    pub(super) session: String,
    pub(super) name: String,
    pub(super) email: String,
    /// Why the session is over, when it is.
    pub(super) ended: Option<String>,
    pub(super) generation: u64,
    /// Renewals this page knows of.
    pub(super) renewals: u64,
    /// Four characters that tell one access token from the next.
    pub(super) token: String,
    pub(super) issued_at: Millis,
    pub(super) due_at: Millis,
    pub(super) expires_at: Millis,
    pub(super) started_at: Millis,
    pub(super) idle_until: Millis,
    pub(super) absolute_until: Millis,
    pub(super) cookie: String,
}

impl SessionView {
    /// The rest of the token's life, in percent.
    pub(super) fn left(&self, now: Millis) -> f64 {
        self.share(self.expires_at - now)
    }

    /// The renewal window's part of the token's life, in percent.
    pub(super) fn window(&self) -> f64 {
        self.share(self.expires_at - self.due_at)
    }

    /// The access token's whole life.
    pub(super) fn lifetime(&self) -> Millis {
        self.expires_at - self.issued_at
    }

    #[expect(clippy::cast_precision_loss, reason = "a drawing, in percent")]
    fn share(&self, part: Millis) -> f64 {
        let whole = self.lifetime().max(1);
        (part.clamp(0, whole) as f64 / whole as f64 * 1000.0).round() / 10.0
    }
}

/// One generation on the strand, or the damage that took its place.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Bead {
    /// Unique on the strand: `g7`, or `x12` for damage.
    pub(super) key: String,
    /// `signed-in`, `ahead`, `manual`, `demand`, `unauthorized` or `broken`.
    pub(super) kind: String,
    /// The number beneath the bead.
    pub(super) number: String,
    pub(super) at: Millis,
    pub(super) why: String,
    pub(super) took: String,
    pub(super) waited: String,
    pub(super) saved: String,
    /// The small mark above the bead: how many it spared.
    pub(super) badge: String,
    /// What is heard when the bead has the focus.
    pub(super) label: String,
    pub(super) story: String,
    pub(super) icon: String,
}

impl Bead {
    /// A bead about which there is nothing to say yet.
    pub(super) fn blank() -> Self {
        Self { waited: "none".into(), saved: "none".into(), ..Self::default() }
    }
}

/// One sentence of "What just happened".
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Line {
    pub(super) id: u64,
    pub(super) at: Millis,
    pub(super) kind: Kind,
    pub(super) text: String,
    /// Where it is explained, as the `href` of a link.
    pub(super) about: String,
}

/// What a log line is about; the filter's choices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Experiment,
    Provider,
    Rescue,
    #[default]
    Renewal,
    Session,
}

impl Kind {
    /// Each with the words on its filter.
    pub(super) const ALL: [(Kind, &'static str); 5] = [
        (Kind::Renewal, "Renewals"),
        (Kind::Rescue, "Rescues"),
        (Kind::Provider, "Provider"),
        (Kind::Session, "Session"),
        (Kind::Experiment, "Experiments"),
    ];

    /// As in the page's attributes.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Experiment => "experiment",
            Kind::Provider => "provider",
            Kind::Rescue => "rescue",
            Kind::Renewal => "renewal",
            Kind::Session => "session",
        }
    }
}

/// What the other side saw.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct ProviderView {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) family: FamilyView,
}

/// One way a redemption can end at the provider, and how often it did.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Outcome {
    pub(super) key: String,
    pub(super) label: String,
    pub(super) count: u64,
    /// `good`, `fault` or `damage`; nothing while the count is zero.
    pub(super) tone: String,
}

/// The refresh tokens of one sign-in, each minted from the one before.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct FamilyView {
    /// `alive`, `revoked` or `none`.
    pub(super) state: String,
    pub(super) words: String,
    /// Links too old to be drawn.
    pub(super) hidden: String,
    pub(super) links: Vec<Link>,
}

/// One refresh token in the chain.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Link {
    pub(super) key: String,
    /// `spent`, `current` or `revoked`.
    pub(super) state: String,
    pub(super) label: String,
}

/// One second of traffic.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Tick {
    /// The second, as Unix time.
    pub(super) second: i64,
    /// Requests that came through the gateway.
    pub(super) app: u32,
    /// Refresh tokens that reached the provider.
    pub(super) redeemed: u32,
}

/// How an experiment stands.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct ActionView {
    pub(super) name: String,
    pub(super) state: Progress,
    pub(super) text: String,
    /// From 0 to 100; nothing while it cannot be told.
    pub(super) percent: Option<u8>,
}

/// The states of an experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Progress {
    #[default]
    Idle,
    Running,
    /// It ended and every promise was kept.
    Held,
    /// It ended with a loss, which the text explains.
    Lost,
    /// It could not be carried out.
    Failed,
    Stopped,
}

impl Progress {
    /// As in the page's attributes.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Progress::Idle => "idle",
            Progress::Running => "running",
            Progress::Held => "held",
            Progress::Lost => "lost",
            Progress::Failed => "failed",
            Progress::Stopped => "stopped",
        }
    }
}

/// Everything at once: what a page needs that has just arrived or come back.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Snapshot {
    pub(super) now: Millis,
    pub(super) session: Option<SessionView>,
    pub(super) beads: Vec<Bead>,
    pub(super) lines: Vec<Line>,
    pub(super) provider: ProviderView,
    pub(super) actions: Vec<ActionView>,
    pub(super) ticks: Vec<Tick>,
}

/// One change, as the page receives it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Change {
    Action(ActionView),
    Bead(Box<Bead>),
    Line(Line),
    Provider(ProviderView),
    Session(Box<SessionView>),
    Snapshot(Box<Snapshot>),
    Tick(Tick),
}

impl Change {
    /// The name of the server-sent event.
    pub(super) fn event(&self) -> &'static str {
        match self {
            Change::Action(_) => "action",
            Change::Bead(_) => "bead",
            Change::Line(_) => "line",
            Change::Provider(_) => "provider",
            Change::Session(_) => "session",
            Change::Snapshot(_) => "snapshot",
            Change::Tick(_) => "tick",
        }
    }
}

/// `18 s`, `4 min`, `7 h`, `29 d`: as the scripts write it, too.
pub(super) fn duration(millis: Millis) -> String {
    let seconds = millis.max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The time of day in UTC, which the scripts turn into the reader's own.
pub(super) fn time_of_day(millis: Millis) -> String {
    let second = millis.div_euclid(1000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (millis, words) in [
            (-5, "0 s"),
            (18_400, "18 s"),
            (119_999, "119 s"),
            (240_000, "4 min"),
            (7_200_000, "2 h"),
            (2_591_999_000, "29 d"),
        ] {
            assert_eq!(duration(millis), words);
        }
    }

    #[test]
    fn the_ring_is_never_more_than_full_nor_less_than_empty() {
        let session = SessionView { issued_at: 1000, due_at: 14_000, expires_at: 21_000, ..SessionView::default() };
        for (now, left) in [(0, 100.0), (1000, 100.0), (11_000, 50.0), (99_000, 0.0)] {
            assert!((session.left(now) - left).abs() < 0.01, "{now}");
        }
        assert!((session.window() - 35.0).abs() < 0.01);
    }
}
