//! What is counted, in the OpenMetrics text format. Labels are bounded: providers as configured, stable codes, never a session,
//! a user or a token. The fast path counts nothing; what is counted is counted beside a network call or a store write.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use perennial_core::names::ProviderId;
use perennial_core::record::Loss;
use perennial_store::StoreError;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::alarm::AlarmCode;
use crate::auth::Auth;
use crate::event::{Event, Renewal};

impl Auth {
    /// All metrics of this engine in the OpenMetrics text format, for a scrape: serve them as
    /// [`METRICS_CONTENT_TYPE`] where outsiders cannot reach them. docs/observability.md explains each.
    pub fn metrics(&self) -> String {
        let inner = &self.inner;
        let metrics = &inner.metrics;
        metrics.flights.set(i64::try_from(inner.flights.aloft()).unwrap_or(i64::MAX));
        metrics.tombstones.set(i64::try_from(inner.tombstones.len()).unwrap_or(i64::MAX));
        for issuer in &inner.issuers {
            let provider = [("provider", word(issuer.provider().id.as_str()))];
            metrics.provider_held.get_or_create(&provider).set(issuer.held_until(inner.now()).is_some().into());
            metrics.refresh_queue.get_or_create(&provider).set(i64::try_from(issuer.queueing()).unwrap_or(i64::MAX));
        }
        metrics.text()
    }
}

/// The media type of [`Auth::metrics`].
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Word = Cow<'static, str>;
type Labels<const N: usize> = [(&'static str, Word); N];
type Counters<const N: usize> = Family<Labels<N>, Counter>;
type Timers<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// The counters of one engine.
pub(crate) struct Metrics {
    registry: Registry,
    /// The label of a session from a provider that is no longer configured is `other`.
    providers: Mutex<HashSet<String>>,
    renewals: Counters<3>,
    renewals_lost: Counters<2>,
    resends: Counters<2>,
    waiters: Histogram,
    provider_seconds: Timers<1>,
    stale_cookies: Counter,
    forks: Counters<2>,
    sign_ins: Counters<1>,
    ended: Counters<1>,
    suspended: Counters<1>,
    store_errors: Counters<2>,
    store_seconds: Timers<1>,
    alarms: Counters<1>,
    flights: Gauge,
    requests_waiting: Gauge,
    tombstones: Gauge,
    provider_held: Family<Labels<1>, Gauge>,
    refresh_queue: Family<Labels<1>, Gauge>,
    clock_skew: Family<Labels<1>, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// Counters for these providers, all at zero.
    pub(crate) fn new<'a>(providers: impl Iterator<Item = &'a ProviderId>) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            providers: Mutex::new(providers.map(ToString::to_string).collect()),
            renewals: Family::default(),
            renewals_lost: Family::default(),
            resends: Family::default(),
            waiters: Histogram::new(WAITERS),
            provider_seconds: Family::new_with_constructor(|| Histogram::new(PROVIDER_SECONDS)),
            stale_cookies: Counter::default(),
            forks: Family::default(),
            sign_ins: Family::default(),
            ended: Family::default(),
            suspended: Family::default(),
            store_errors: Family::default(),
            store_seconds: Family::new_with_constructor(|| Histogram::new(STORE_SECONDS)),
            alarms: Family::default(),
            flights: Gauge::default(),
            requests_waiting: Gauge::default(),
            tombstones: Gauge::default(),
            provider_held: Family::default(),
            refresh_queue: Family::default(),
            clock_skew: Family::default(),
        };
        metrics.register();
        metrics.start_at_zero();
        metrics
    }

    /// The same counters, for these providers as well.
    pub(crate) fn with_providers<'a>(self: Arc<Self>, providers: impl Iterator<Item = &'a ProviderId>) -> Arc<Self> {
        self.known().extend(providers.map(ToString::to_string));
        self.start_at_zero();
        self
    }

    fn register(&mut self) {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        let registry = self.registry.sub_registry_with_prefix("perennial");
        registry.register("build", "The version that runs", build);
        registry.register("renewals", "Renewals that called the provider, by what came of them", self.renewals.clone());
        let help = "Sessions lost whose users did not ask for it, by how";
        registry.register("renewals_lost", help, self.renewals_lost.clone());
        registry.register("resends", "Refresh tokens sent that had been sent before", self.resends.clone());
        registry.register("renewal_waiters", "Other requests that waited for a renewal", self.waiters.clone());
        let help = "How long providers took to answer a refresh";
        registry.register_with_unit("provider", help, Unit::Seconds, self.provider_seconds.clone());
        let help = "Cookies of an older generation that were given the newest";
        registry.register("stale_cookies_saved", help, self.stale_cookies.clone());
        let help = "Sessions met with two successors at one generation, by whose tokens went on";
        registry.register("forks", help, self.forks.clone());
        registry.register("sign_ins", "Users who signed in", self.sign_ins.clone());
        registry.register("sessions_ended", "Sessions that ended, by why", self.ended.clone());
        let help =
            "Requests of sessions whose access token has died and cannot be replaced just now; they are answered 503";
        registry.register("requests_suspended", help, self.suspended.clone());
        registry.register("store_errors", "Store operations that failed", self.store_errors.clone());
        let help = "How long the store took";
        registry.register_with_unit("store", help, Unit::Seconds, self.store_seconds.clone());
        registry.register("alarms", "Alarms, including those held back from the log", self.alarms.clone());
        registry.register("flights", "Renewals under way or waiting for one elsewhere", self.flights.clone());
        let help = "Requests that wait for a renewal just now";
        registry.register("requests_waiting", help, self.requests_waiting.clone());
        registry.register(
            "tombstones",
            "Ended sessions, and sessions announced to be in doubt, that this process remembers",
            self.tombstones.clone(),
        );
        let help = "Whether a provider is left alone after a failure that concerns all its sessions";
        registry.register("provider_held", help, self.provider_held.clone());
        let help = "Renewals that queue for their turn at a provider";
        registry.register("refresh_queue", help, self.refresh_queue.clone());
        let help = "How far a provider's clock is ahead of ours, by its newest Date header";
        registry.register_with_unit("clock_skew", help, Unit::Seconds, self.clock_skew.clone());
    }

    /// What an alert asks for has to be there before it first happens: a rate needs two values.
    fn start_at_zero(&self) {
        for provider in self.known().iter() {
            for loss in [Loss::RefusedAfterDoubt, Loss::Refused, Loss::IdentityChanged, Loss::SecretGone] {
                self.renewals_lost.get_or_create(&lost(provider.clone().into(), loss)).inc_by(0);
            }
            self.suspended.get_or_create(&[("provider", provider.clone().into())]).inc_by(0);
        }
        for alarm in AlarmCode::ALL {
            self.alarms.get_or_create(&[("code", alarm.code().into())]).inc_by(0);
        }
    }

    /// Counts what an event tells.
    pub(crate) fn count(&self, event: &Event) {
        match event {
            Event::SignedIn { provider, .. } => drop(self.sign_ins.get_or_create(&[self.by(provider)]).inc()),
            Event::Ended { reason, provider, loss, .. } => {
                self.ended.get_or_create(&[("reason", reason.code().into())]).inc();
                if let Some(loss) = loss {
                    self.renewals_lost.get_or_create(&lost(self.provider(provider), *loss)).inc();
                }
            }
            Event::Renewal(renewal) => self.renewal(renewal),
            Event::StaleCookieSaved { .. } => drop(self.stale_cookies.inc()),
            Event::Forked { provider, kept, .. } => {
                self.forks.get_or_create(&[self.by(provider), ("kept", kept.code().into())]).inc();
            }
            // Its end is counted by `Ended`, and alarms where they are raised.
            Event::SignedOut { .. } | Event::Alarm { .. } => {}
        }
    }

    fn renewal(&self, renewal: &Renewal) {
        let by_provider = [self.by(&renewal.provider)];
        self.provider_seconds.get_or_create(&by_provider).observe(renewal.provider_time.as_secs_f64());
        let [provider] = by_provider;
        let outcome = ("outcome", renewal.outcome.code().into());
        let labels = [provider.clone(), ("reason", renewal.reason.code().into()), outcome];
        self.renewals.get_or_create(&labels).inc();
        self.waiters.observe(f64::from(u32::try_from(renewal.waiters).unwrap_or(u32::MAX)));
        if let Some(resend) = renewal.resend {
            self.resends.get_or_create(&[provider, ("reason", resend.code().into())]).inc();
        }
    }

    /// A session was lost without an event of its end.
    pub(crate) fn lost(&self, provider: &ProviderId, loss: Loss) {
        self.renewals_lost.get_or_create(&lost(self.provider(provider.as_str()), loss)).inc();
    }

    /// A request left the hall with a session that has no living access token for now.
    pub(crate) fn suspended(&self, provider: &ProviderId) {
        self.suspended.get_or_create(&[self.by(provider.as_str())]).inc();
    }

    /// A request begins to wait for a renewal, until the answer is dropped.
    pub(crate) fn waiting(&self) -> Waiting {
        self.requests_waiting.inc();
        Waiting(self.requests_waiting.clone())
    }

    /// The store answered, well or not.
    pub(crate) fn store_answered(&self, operation: &'static str, took: Duration, error: Option<&StoreError>) {
        self.store_seconds.get_or_create(&[("operation", operation.into())]).observe(took.as_secs_f64());
        if let Some(error) = error {
            let labels = [("operation", operation.into()), ("code", error.code().into())];
            self.store_errors.get_or_create(&labels).inc();
        }
    }

    /// An alarm was raised, told or held back.
    pub(crate) fn alarm(&self, code: AlarmCode) {
        self.alarms.get_or_create(&[("code", code.code().into())]).inc();
    }

    /// A host of a provider has shown its clock.
    pub(crate) fn clock_skew(&self, host: &str, ahead_seconds: f64) {
        self.clock_skew.get_or_create(&[("host", word(host))]).set(ahead_seconds);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn by(&self, provider: &str) -> (&'static str, Word) {
        ("provider", self.provider(provider))
    }

    fn provider(&self, id: &str) -> Word {
        if self.known().contains(id) { word(id) } else { "other".into() }
    }

    fn known(&self) -> MutexGuard<'_, HashSet<String>> {
        // Ids are only ever added, one by one.
        self.providers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for a renewal, also if its caller hangs up.
pub(crate) struct Waiting(Gauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn lost(provider: Word, loss: Loss) -> Labels<2> {
    [("provider", provider), ("cause", loss.code().into())]
}

fn word(text: &str) -> Word {
    text.to_owned().into()
}

/// From a provider next door to the longest call deadline.
const PROVIDER_SECONDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// From memory to a store that is about to be given up.
const STORE_SECONDS: [f64; 10] = [0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 1.0, 5.0];

/// From nobody to a page that loads all at once, and beyond.
const WAITERS: [f64; 7] = [0.0, 1.0, 5.0, 20.0, 50.0, 200.0, 1000.0];

#[cfg(test)]
mod tests {
    use perennial_core::Timestamp;
    use perennial_core::condition::Condition;
    use perennial_core::record::{EndReason, RenewalReason, ResendReason};
    use perennial_core::session::Generation;
    use perennial_store::StoreErrorKind;

    use perennial_core::record::Kept;

    use super::*;
    use crate::event::RenewalOutcome;

    fn metrics() -> Metrics {
        Metrics::new([ProviderId::new("idp")].iter())
    }

    /// The names as a scrape shows them, types and units read off.
    fn names(text: &str) -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        lines
            .map(|line| match line.split_once(' ') {
                Some((name, "counter")) => format!("{name}_total"),
                Some((name, "info")) => format!("{name}_info"),
                Some((name, _)) => name.to_owned(),
                None => panic!("no type: {line}"),
            })
            .collect()
    }

    /// A family without a series does not show in a scrape.
    fn touch_all(metrics: &Metrics) {
        let (at, session) = (Timestamp::from_unix_seconds(0), String::new());
        metrics.count(&Event::SignedIn { at, session: session.clone(), provider: "idp".into() });
        let (reason, loss) = (EndReason::Refused, Some(Loss::Refused));
        metrics.count(&Event::Ended { at, session: session.clone(), reason, provider: "idp".into(), loss });
        let (provider, generation, kept) = ("idp".into(), Generation(1), Kept::Cookie);
        metrics.count(&Event::Forked { at, session: session.clone(), generation, provider, kept });
        metrics.count(&Event::Renewal(Renewal {
            at,
            session,
            generation,
            provider: "idp".into(),
            attempt: String::new(),
            reason: RenewalReason::Expired,
            resend: Some(ResendReason::Window),
            provider_time: Duration::from_millis(20),
            waiters: 49,
            outcome: RenewalOutcome::Renewed,
            condition: Condition::Fresh,
            access_token_fingerprint: None,
            issued_at: None,
            expires_at: None,
            due_at: None,
        }));
        let error = StoreError::new(StoreErrorKind::Unavailable, "down");
        metrics.store_answered("load", Duration::from_millis(1), Some(&error));
        metrics.clock_skew("idp.example", 1.5);
        metrics.provider_held.get_or_create(&[("provider", word("idp"))]).set(1);
        metrics.refresh_queue.get_or_create(&[("provider", word("idp"))]).set(7);
    }

    #[test]
    fn what_an_event_tells_is_counted_under_its_labels() {
        let metrics = metrics();
        touch_all(&metrics);
        let text = metrics.text();
        for series in [
            r#"perennial_renewals_total{provider="idp",reason="expired",outcome="renewed"} 1"#,
            r#"perennial_renewals_lost_total{provider="idp",cause="refused"} 1"#,
            r#"perennial_resends_total{provider="idp",reason="window"} 1"#,
            r#"perennial_renewal_waiters_bucket{le="50.0"} 1"#,
            r#"perennial_renewal_waiters_bucket{le="20.0"} 0"#,
            r#"perennial_provider_seconds_bucket{le="0.025",provider="idp"} 1"#,
            r#"perennial_sign_ins_total{provider="idp"} 1"#,
            r#"perennial_forks_total{provider="idp",kept="cookie"} 1"#,
            r#"perennial_sessions_ended_total{reason="refused"} 1"#,
            r#"perennial_store_errors_total{operation="load",code="store_unavailable"} 1"#,
            r#"perennial_clock_skew_seconds{host="idp.example"} 1.5"#,
            r#"perennial_provider_held{provider="idp"} 1"#,
            r#"perennial_refresh_queue{provider="idp"} 7"#,
        ] {
            assert!(text.lines().any(|line| line == series), "{series} in {text}");
        }
    }

    #[test]
    fn the_documentation_has_every_metric_and_no_other() {
        let page = include_str!("../../../docs/observability.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `perennial_"));
        let documented: Vec<String> =
            rows.filter_map(|row| row.split('`').next()).map(|name| format!("perennial_{name}")).collect();
        let metrics = metrics();
        touch_all(&metrics);
        let (mut names, mut documented) = (names(&metrics.text()), documented);
        names.sort();
        documented.sort();
        assert_eq!(documented, names);
    }

    #[test]
    fn what_alerts_ask_for_is_there_before_it_happens() {
        let text = metrics().text();
        for series in [
            r#"perennial_renewals_lost_total{provider="idp",cause="refused_after_doubt"} 0"#,
            r#"perennial_renewals_lost_total{provider="idp",cause="identity_changed"} 0"#,
            r#"perennial_requests_suspended_total{provider="idp"} 0"#,
            r#"perennial_alarms_total{code="store_unavailable"} 0"#,
        ] {
            assert!(text.contains(series), "{series} in {text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_provider_nobody_configured_has_no_label_of_its_own() {
        let metrics = metrics();
        metrics.lost(&ProviderId::new("gone"), Loss::SecretGone);
        metrics.suspended(&ProviderId::new("idp"));
        let text = metrics.text();
        assert!(text.contains(r#"perennial_renewals_lost_total{provider="other",cause="secret_gone"} 1"#), "{text}");
        assert!(text.contains(r#"perennial_requests_suspended_total{provider="idp"} 1"#), "{text}");
        assert!(!text.contains(r#"provider="gone""#), "{text}");
    }
}
