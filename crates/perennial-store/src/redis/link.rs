//! The connection for commands: one for all callers, made at the first need, and anew when it breaks.

use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, Slot, SlotAddr};
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::{Mutex, watch};

use super::address::{Address, Target};
use super::failure::{failure, is_of_the_connection, unconfirmed};
use super::scripts::Script;
use crate::{StoreError, StoreErrorKind};

pub(super) struct Link {
    pub(super) address: Address,
    place: Mutex<Place>,
    /// Counts the connections, so that whoever listens to the server follows when commands go to another.
    pub(super) connected: watch::Sender<u64>,
}

#[derive(Default)]
struct Place {
    line: Option<Line>,
    /// The last failure to connect: whoever was waiting in the meantime shares it instead of trying in turn.
    failed: Option<(Instant, StoreError)>,
}

/// A connection, cheap to clone; commands of many callers go through it without waiting for each other's answers.
#[derive(Clone)]
struct Line {
    number: u64,
    to: To,
}

#[derive(Clone)]
enum To {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// How a command may be repeated when the connection broke under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It reads, or writes the same as often as it is sent.
    Freely,
    /// Done twice it looks as if it had met somebody else: [`Answer::again`] tells.
    Telling,
}

/// What the server answered.
pub(super) struct Answer {
    pub(super) value: Value,
    /// Whether it is the answer to a second try, after a first one that may have been obeyed.
    pub(super) again: bool,
}

impl Link {
    pub(super) fn new(address: Address) -> Self {
        Self { address, place: Mutex::default(), connected: watch::Sender::new(0) }
    }

    /// Sends a script about one key.
    pub(super) async fn run(&self, script: &Script, arguments: &Cmd, repeat: Repeat) -> Result<Answer, StoreError> {
        let by_hash = with_arguments("EVALSHA", script.hash().as_bytes(), arguments);
        match self.tried(&by_hash, repeat).await {
            // A server that was restarted, or has just become the master.
            Err(Refused::By(error)) if error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript) => {
                let whole = with_arguments("EVAL", script.text.as_bytes(), arguments);
                self.tried(&whole, repeat).await.map_err(Refused::told)
            }
            tried => tried.map_err(Refused::told),
        }
    }

    /// Sends a command that only reads.
    pub(super) async fn read(&self, command: &Cmd) -> Result<Value, StoreError> {
        self.tried(command, Repeat::Freely).await.map(|answer| answer.value).map_err(Refused::told)
    }

    /// Sends the same command to every master.
    pub(super) async fn masters(&self) -> Result<Vec<Master<'_>>, StoreError> {
        let line = self.line().await?;
        let To::Cluster(mut connection) = line.to else { return Ok(vec![Master { link: self, node: None }]) };
        let slots = connection.route_command(redis::cmd("CLUSTER").arg("SLOTS").to_owned(), ANYBODY).await;
        let slots = slots.map_err(|error| failure(&error))?;
        let mut nodes: Vec<(String, u16)> = super::reply::masters(&slots).ok_or_else(super::reply::not_understood)?;
        nodes.sort();
        nodes.dedup();
        Ok(nodes.into_iter().map(|node| Master { link: self, node: Some(node) }).collect())
    }

    async fn tried(&self, command: &Cmd, repeat: Repeat) -> Result<Answer, Refused> {
        let line = self.line().await.map_err(Refused::Unreached)?;
        let error = match self.sent(&line, command).await {
            Ok(value) => return Ok(Answer { value, again: false }),
            Err(error) => error,
        };
        self.let_go(&line, &error).await;
        // A cluster's connection has tried several times by itself, and tells of the last one alone.
        let no_script = error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript);
        if matches!(line.to, To::Cluster(_)) && repeat == Repeat::Telling && !no_script {
            return Err(Refused::Unsure(error));
        }
        // Somebody who waited for one timeout does not wait for another.
        if !error.is_io_error() || error.is_timeout() {
            return Err(Refused::By(error));
        }
        let unsure = repeat == Repeat::Telling;
        let line = self.line().await.map_err(|again| match unsure {
            true => Refused::By(error),
            false => Refused::Unreached(again),
        })?;
        match self.sent(&line, command).await {
            Ok(value) => Ok(Answer { value, again: unsure }),
            Err(error) => {
                self.let_go(&line, &error).await;
                Err(if unsure { Refused::Unsure(error) } else { Refused::By(error) })
            }
        }
    }

    /// Sends on one line, and has replicas confirm what a script wrote if so many were asked for.
    async fn sent(&self, line: &Line, command: &Cmd) -> RedisResult<Value> {
        let value = match &line.to {
            To::One(connection) => command.query_async(&mut connection.clone()).await,
            To::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        }?;
        let wrote = self.address.wait_replicas > 0 && value == Value::Int(1);
        if wrote { self.replicated(line, command).await.map(|()| value) } else { Ok(value) }
    }

    async fn replicated(&self, line: &Line, written: &Cmd) -> RedisResult<()> {
        let wanted = self.address.wait_replicas;
        let millis = u64::try_from(self.address.timeout.as_millis() / 2).unwrap_or(u64::MAX);
        let wait = redis::cmd("WAIT").arg(wanted).arg(millis).to_owned();
        let confirmed = match &line.to {
            To::One(connection) => wait.query_async(&mut connection.clone()).await,
            // On the node that wrote.
            To::Cluster(connection) => {
                let mut connection = connection.clone();
                let route = writer(&mut connection, written).await?;
                connection.route_command(wait, route).await
            }
        }?;
        match confirmed {
            Value::Int(replicas) if replicas >= i64::from(wanted) => Ok(()),
            _ => Err(unconfirmed()),
        }
    }

    /// The connection there is, or a new one; one caller makes it, the others wait.
    async fn line(&self) -> Result<Line, StoreError> {
        let asked = Instant::now();
        let mut place = self.place.lock().await;
        if let Some(line) = &place.line {
            return Ok(line.clone());
        }
        if let Some((when, error)) = &place.failed
            && *when > asked
        {
            return Err(error.clone());
        }
        let connected = tokio::time::timeout(self.address.timeout, self.connect()).await;
        let connected = connected.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
        match connected {
            Ok(to) => {
                let number = *self.connected.borrow() + 1;
                let line = Line { number, to };
                *place = Place { line: Some(line.clone()), failed: None };
                self.connected.send_replace(number);
                Ok(line)
            }
            Err(error) => {
                let error = failure(&error).before_writing();
                place.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn connect(&self) -> RedisResult<To> {
        let config = self.config();
        match &self.address.target {
            Target::One(client) => client.get_multiplexed_async_connection_with_config(&config).await.map(To::One),
            Target::Sentinel(client) => {
                client.lock().await.get_async_connection_with_config(&config).await.map(To::One)
            }
            Target::Cluster { client, .. } => client.get_async_connection().await.map(To::Cluster),
        }
    }

    /// A connection of its own, on which the server pushes.
    pub(super) async fn connect_for_pushes(
        &self,
        config: AsyncConnectionConfig,
        attempt: usize,
    ) -> RedisResult<MultiplexedConnection> {
        let client: Client = match &self.address.target {
            Target::One(client) => client.clone(),
            Target::Sentinel(client) => client.lock().await.async_get_client().await?,
            Target::Cluster { nodes, .. } => nodes[attempt % nodes.len()].clone(),
        };
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    pub(super) fn config(&self) -> AsyncConnectionConfig {
        let timeout = Some(self.address.timeout);
        AsyncConnectionConfig::new().set_connection_timeout(timeout).set_response_timeout(timeout)
    }

    /// Takes a line out of use if `error` is the line's.
    async fn let_go(&self, line: &Line, error: &RedisError) {
        if is_of_the_connection(error) {
            let mut place = self.place.lock().await;
            if place.line.as_ref().is_some_and(|current| current.number == line.number) {
                place.line = None;
            }
        }
    }
}

/// One master, of which a cluster has several.
pub(super) struct Master<'link> {
    link: &'link Link,
    node: Option<(String, u16)>,
}

impl Master<'_> {
    /// Sends a command that only reads, to this master.
    pub(super) async fn read(&self, command: &Cmd) -> Result<Value, StoreError> {
        let Some((host, port)) = self.node.clone() else { return self.link.read(command).await };
        let To::Cluster(mut connection) = self.link.line().await?.to else { return self.link.read(command).await };
        let by_address = SingleNodeRoutingInfo::ByAddress { host, port };
        let answer = connection.route_command(command.clone(), RoutingInfo::SingleNode(by_address)).await;
        answer.map_err(|error| failure(&error))
    }
}

enum Refused {
    /// There was no connection to send it on.
    Unreached(StoreError),
    By(RedisError),
    /// The last try failed, whatever became of those before.
    Unsure(RedisError),
}

impl Refused {
    fn told(self) -> StoreError {
        match self {
            Refused::Unreached(error) => error,
            Refused::By(error) => failure(&error),
            Refused::Unsure(error) => {
                let error = failure(&error);
                let kind = if error.wrote_nothing() { StoreErrorKind::Unavailable } else { error.kind() };
                StoreError::new(kind, error.to_string())
            }
        }
    }
}

/// The node that runs a script about one key.
async fn writer(connection: &mut ClusterConnection, script: &Cmd) -> RedisResult<RoutingInfo> {
    let mut keyslot = redis::cmd("CLUSTER");
    keyslot.arg("KEYSLOT");
    if let Some(redis::Arg::Simple(key)) = script.args_iter().nth(3) {
        keyslot.arg(key);
    }
    let slot = match connection.route_command(keyslot, ANYBODY).await? {
        Value::Int(slot) => u16::try_from(slot).ok().and_then(Slot::new),
        _ => None,
    };
    let master =
        |slot| RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(Route::with_slot(slot, SlotAddr::Master)));
    Ok(slot.map_or(ANYBODY, master))
}

fn with_arguments(command: &str, script: &[u8], arguments: &Cmd) -> Cmd {
    let mut whole = redis::cmd(command);
    whole.arg(script).arg(1);
    for argument in arguments.args_iter() {
        if let redis::Arg::Simple(bytes) = argument {
            whole.arg(bytes);
        }
    }
    whole
}

const ANYBODY: RoutingInfo = RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary);
