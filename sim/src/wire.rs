//! The line from one replica to the provider: what it loses, delays, doubles and mangles.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use perennial::{HttpClient, SendError};
use tokio::sync::oneshot;

use crate::book::{Ending, Redemption};
use crate::provider::{Delivery, Provider, parsed};
use crate::scenario::Millis;
use crate::world::{Life, World, sleep};

/// One life's line to the provider.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) world: Arc<World>,
    pub(crate) life: Arc<Life>,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Metadata,
    Keys,
    Code(String),
    Refresh { token: String, family: usize, serial: usize },
    Revoke(String),
    Nothing,
}

/// What the line does to one request.
#[derive(Clone, Copy, Debug)]
struct Fate {
    name: &'static str,
    /// When it arrives, after it was sent; several if it is doubled. Of an arrival that comes after its caller is gone, the
    /// answer is lost.
    arrives: [Option<Millis>; 2],
    /// What the provider does on arrival.
    does: Does,
    /// How long the provider takes with its answer.
    works: Millis,
    /// What the caller sees.
    caller: Caller,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Work,
    /// Answers this status without doing anything.
    Refuse(u16),
    /// Answers a page of HTML without doing anything.
    Page(u16),
    /// Does its work, then answers this status.
    WorkThenFail(u16),
    /// Does its work, then answers half of it.
    WorkThenCut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Waits,
    /// Connection refused: nothing was sent.
    Refused,
    /// The connection breaks after this time, whatever becomes of the request.
    Reset(Millis),
}

impl Asked {
    pub(crate) fn read(request: &Request<Vec<u8>>) -> Self {
        let form: Vec<(String, String)> = url::form_urlencoded::parse(request.body()).into_owned().collect();
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        match request.uri().path() {
            "/.well-known/openid-configuration" => Self::Metadata,
            "/jwks" => Self::Keys,
            "/revoke" => field("token").map_or(Self::Nothing, Self::Revoke),
            "/token" => match (field("refresh_token"), field("code")) {
                (Some(token), _) => match parsed("rt", &token) {
                    Some((family, serial)) => Self::Refresh { token, family, serial },
                    None => Self::Nothing,
                },
                (None, Some(code)) => Self::Code(code),
                (None, None) => Self::Nothing,
            },
            _ => Self::Nothing,
        }
    }
}

impl Wire {
    async fn exchange(&self, request: Request<Vec<u8>>, deadline: Duration) -> Result<Response<Bytes>, SendError> {
        let (world, life) = (&self.world, &self.life);
        life.gate(world).await;
        let asked = Asked::read(&request);
        let fate = self.fate(&asked, deadline.as_millis() as Millis);
        let call = match asked {
            Asked::Refresh { family, serial, .. } => {
                let arrivals = fate.arrives.iter().flatten().count() as u32;
                world.note(format_args!("{life} sends refresh token {serial} of s{family}: {}", fate.name));
                *world.book().tally.faults.entry(fate.name).or_default() += 1;
                Some(world.call_begins(life, family, serial, arrivals))
            }
            _ => None,
        };
        if let Asked::Revoke(token) = &asked {
            world.revocation_sent(life, token);
        }
        let answer = self.deliver(&asked, fate, call);
        let answered = async {
            match fate.caller {
                Caller::Waits => answer.await.map_err(|_| SendError::InDoubt("no answer".into())),
                Caller::Refused => {
                    sleep(2).await;
                    Err(SendError::NotSent("connection refused".into()))
                }
                Caller::Reset(after) => {
                    sleep(after).await;
                    Err(SendError::InDoubt("connection reset".into()))
                }
            }
        };
        let answered = match tokio::time::timeout(deadline, answered).await {
            Ok(answered) => answered,
            Err(_) => Err(SendError::TimedOut("no answer in time".into())),
        };
        life.gate(world).await;
        if let (Some(number), Asked::Refresh { family, serial, .. }) = (call, &asked) {
            let ending = ending(&answered, fate);
            world.note(format_args!("{life} has for refresh token {serial} of s{family}: {ending:?}"));
            world.call_ends(number, ending);
        }
        answered
    }

    /// Sends the request on its way. What is answered to an arrival comes out of the receiver, if anybody still waits.
    fn deliver(&self, asked: &Asked, fate: Fate, call: Option<usize>) -> oneshot::Receiver<Response<Bytes>> {
        let (sender, receiver) = oneshot::channel();
        let mut sender = Some(sender);
        for (copy, arrives) in fate.arrives.iter().enumerate() {
            let Some(arrives) = *arrives else { continue };
            let (world, asked, sender) = (self.world.clone(), asked.clone(), sender.take());
            let delivery = call.map(|call| Delivery { call, copy: copy as u32 });
            tokio::spawn(async move {
                sleep(arrives).await;
                let answer = world.arrive(&asked, fate.does, delivery);
                sleep(fate.works).await;
                if let (Some(sender), Some(answer)) = (sender, answer) {
                    // Whoever has given up does not hear it.
                    let _ = sender.send(answer);
                }
            });
        }
        // The sender that is left over is kept until the deadline: a lost request is silence, not a closed line.
        if let Some(sender) = sender {
            tokio::spawn(async move {
                sleep(LOST_FOR_GOOD).await;
                drop(sender);
            });
        }
        receiver
    }

    fn fate(&self, asked: &Asked, deadline: Millis) -> Fate {
        let world = &self.world;
        let plain = |dice: &mut crate::dice::Dice| Fate {
            name: "plain",
            arrives: [Some(dice.between(1, 40)), None],
            does: Does::Work,
            works: dice.between(1, 60),
            caller: Caller::Waits,
        };
        let weather = world.weather().clone();
        let mut dice = world.dice();
        let fate = plain(&mut dice);
        if weather.calm {
            return fate;
        }
        if world.now() < weather.down_until {
            return match weather.swallows {
                true => Fate { name: "outage: swallowed", arrives: [None, None], ..fate },
                false => Fate { name: "outage: refused", arrives: [None, None], caller: Caller::Refused, ..fate },
            };
        }
        // A sign-in is not what this is about; keys and metadata share the provider's fate, not the token endpoint's.
        let network = match asked {
            Asked::Refresh { .. } | Asked::Keys => world.scenario.rates.network,
            Asked::Revoke(_) => world.scenario.rates.network / 4,
            Asked::Metadata | Asked::Code(_) | Asked::Nothing => 0,
        };
        if !dice.chance(network) {
            return fate;
        }
        let linger = deadline + dice.between(1, LINGER_MAX);
        let soon = dice.between(1, 200);
        match dice.below(16) {
            0 => Fate { name: "request lost", arrives: [None, None], ..fate },
            1 | 2 => Fate { name: "request late", arrives: [Some(linger), None], ..fate },
            3 => Fate {
                name: "reset, request late",
                arrives: [Some(linger - deadline), None],
                caller: Caller::Reset(soon),
                ..fate
            },
            4 | 5 => Fate { name: "answer lost", works: LOST_FOR_GOOD, ..fate },
            6 => Fate { name: "answer cut", does: Does::WorkThenCut, ..fate },
            7 => Fate { name: "reset after the work", caller: Caller::Reset(soon + 100), ..fate },
            8 => Fate { name: "doubled", arrives: [fate.arrives[0], Some(dice.between(50, linger))], ..fate },
            9 => Fate { name: "slow", works: dice.between(500, 2 * deadline), ..fate },
            10 => Fate { name: "429", does: Does::Refuse(429), ..fate },
            11 => Fate { name: "503", does: Does::Refuse(503), ..fate },
            12 => Fate { name: "500 before the work", does: Does::Refuse(500), ..fate },
            13 => Fate { name: "502 after the work", does: Does::WorkThenFail(502), ..fate },
            14 => Fate { name: "a page of HTML", does: Does::Page(dice.pick(&[200, 403])), ..fate },
            _ => Fate { name: "invalid_client", does: Does::Refuse(401), ..fate },
        }
    }
}

impl HttpClient for Wire {
    fn send(&self, request: Request<Vec<u8>>, deadline: Duration) -> BoxFuture<'_, Result<Response<Bytes>, SendError>> {
        Box::pin(self.exchange(request, deadline))
    }
}

impl World {
    /// A request reaches the provider.
    fn arrive(&self, asked: &Asked, does: Does, delivery: Option<Delivery>) -> Option<Response<Bytes>> {
        let now = self.now();
        if let Some(delivery) = delivery {
            self.book().calls[delivery.call].on_their_way -= 1;
        }
        if now < self.weather().down_until {
            return None;
        }
        match does {
            Does::Refuse(status) => return Some(refusal(status)),
            Does::Page(status) => return Some(response(status, "<!doctype html><title>Welcome</title>".into())),
            Does::Work | Does::WorkThenFail(_) | Does::WorkThenCut => {}
        }
        let worked = self.work(asked, delivery, now);
        Some(match (does, worked) {
            (Does::WorkThenFail(status), _) => refusal(status),
            (Does::WorkThenCut, Ok(body)) => response(200, body[..body.len() / 2].to_owned()),
            (_, Ok(body)) => response(200, body),
            (_, Err(error)) => response(400, format!(r#"{{"error":"{error}"}}"#)),
        })
    }

    fn work(&self, asked: &Asked, delivery: Option<Delivery>, now: Millis) -> Result<String, &'static str> {
        let mut provider = self.provider();
        match asked {
            Asked::Metadata => Ok(Provider::metadata()),
            Asked::Keys => Ok(provider.keys()),
            Asked::Code(code) => provider.exchange(code, now),
            Asked::Revoke(token) => {
                provider.revoke(token, now);
                drop(provider);
                self.note(format_args!("provider revokes s{}", parsed("rt", token).map_or(0, |(family, _)| family)));
                Ok(String::new())
            }
            Asked::Refresh { token, family, serial } => {
                let delivery = delivery.unwrap_or(Delivery { call: 0, copy: 0 });
                let redeemed = provider.refresh(token, delivery, now);
                drop(provider);
                match &redeemed {
                    Ok(redeemed) => {
                        let access = redeemed.access;
                        self.note(format_args!("provider redeems {serial} of s{family}: access token {access}"));
                        self.book().redemptions.push(Redemption {
                            family: *family,
                            refresh: *serial,
                            access,
                            at: now,
                            by: delivery,
                            delivered: None,
                        });
                    }
                    Err(error) => self.note(format_args!("provider refuses {serial} of s{family}: {error}")),
                }
                redeemed.map(|redeemed| redeemed.body)
            }
            Asked::Nothing => Err("invalid_request"),
        }
    }

    fn revocation_sent(&self, life: &Life, token: &str) {
        if let Some((family, serial)) = parsed("rt", token) {
            self.note(format_args!("{life} asks to revoke refresh token {serial} of s{family}"));
            if let Some(facts) = self.book().sessions.get_mut(&family) {
                facts.revocations.push(life.number);
            }
        }
    }
}

/// What the caller has learned, by the provider's words.
fn ending(answered: &Result<Response<Bytes>, SendError>, fate: Fate) -> Ending {
    let answer = match answered {
        Err(SendError::NotSent(_)) => return Ending::Unprocessed,
        Err(_) => return Ending::InDoubt,
        Ok(answer) => answer,
    };
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let access = body["access_token"].as_str().and_then(|token| parsed("at", token));
    match (answer.status().as_u16(), access) {
        (200, Some((_, access))) => Ending::Tokens(access),
        (400, _) if body["error"] == "invalid_grant" => Ending::Refused,
        (429 | 503 | 401 | 403, _) if matches!(fate.does, Does::Refuse(_) | Does::Page(_)) => Ending::Unprocessed,
        _ => Ending::InDoubt,
    }
}

fn refusal(status: u16) -> Response<Bytes> {
    let error = match status {
        401 => "invalid_client",
        429 | 503 => "temporarily_unavailable",
        _ => "server_error",
    };
    let mut answer = response(status, format!(r#"{{"error":"{error}"}}"#));
    if matches!(status, 429 | 503) {
        answer.headers_mut().insert(http::header::RETRY_AFTER, 3.into());
    }
    answer
}

fn response(status: u16, body: String) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = http::StatusCode::from_u16(status).expect("one of ours");
    answer
}

/// A request that is given up arrives within this time or never: what the engine drains for, less a hair.
const LINGER_MAX: Millis = 29_500;

/// Longer than anybody waits.
const LOST_FOR_GOOD: Millis = 600_000;
