//! Many requests with one cookie at the same moment, each on a connection of its own that was open before.

use std::io::Read as _;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::Args;
use futures_util::future::try_join_all;
use http::Request;
use http::header::{COOKIE, HOST};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use perennial_bench::Spread;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::Told;

/// The cookie comes by standard input: arguments can be read by every user of the machine.
#[derive(Args)]
pub(crate) struct Options {
    /// Addresses that share the requests among them.
    #[arg(long, required = true)]
    address: Vec<SocketAddr>,
    /// The public name of the site.
    #[arg(long)]
    host: String,
    /// What to ask for.
    #[arg(long)]
    path: String,
    /// How many requests.
    #[arg(long)]
    requests: usize,
    /// When, in milliseconds since 1970; at once if that is past.
    #[arg(long)]
    at: u64,
}

type Connection = SendRequest<Empty<Bytes>>;

/// Opens the connections, waits for the moment, sends, and tells how long each answer took from that moment.
pub(crate) async fn run(options: Options) -> Told {
    let mut cookie = String::new();
    std::io::stdin().read_to_string(&mut cookie)?;
    let mut connections = Vec::with_capacity(options.requests);
    for index in 0..options.requests {
        connections.push(connected(options.address[index % options.address.len()]).await?);
    }
    let request = |_: usize| -> Result<_, http::Error> {
        let request = Request::get(&options.path).header(HOST, &options.host).header(COOKIE, cookie.trim());
        request.header("accept", "*/*").header("sec-fetch-mode", "cors").body(Empty::new())
    };
    let requests = (0..options.requests).map(request).collect::<Result<Vec<_>, _>>()?;
    let began = moment(options.at);
    sleep_until(began).await;
    let late = began.elapsed();
    // Spawned, so that no answer waits until another has been read.
    let asked = connections
        .into_iter()
        .zip(requests)
        .map(|(connection, request)| tokio::spawn(async move { ask(connection, request, began).await }));
    let mut statuses = Map::new();
    let mut times = Vec::with_capacity(options.requests);
    for answer in try_join_all(asked.collect::<Vec<_>>()).await? {
        let (status, time) = answer.unwrap_or_else(|_| ("broken".to_owned(), began.elapsed()));
        let count = statuses.get(&status).and_then(Value::as_u64).unwrap_or_default();
        statuses.insert(status, (count + 1).into());
        times.push(time);
    }
    let times: Spread = times.into_iter().collect();
    Ok(json!({ "statuses": statuses, "times": times.told(), "late_us": late.as_micros() as u64 }))
}

async fn connected(address: SocketAddr) -> Result<Connection, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // What it ends with, the sender is told.
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(
    mut connection: Connection,
    request: Request<Empty<Bytes>>,
    began: Instant,
) -> Result<(String, Duration), hyper::Error> {
    let answer = connection.send_request(request).await?;
    let status = answer.status().as_u16().to_string();
    answer.into_body().collect().await?;
    Ok((status, began.elapsed()))
}

/// A moment of the system's clock as one of ours.
fn moment(unix_millis: u64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::now() + Duration::from_millis(unix_millis).saturating_sub(now)
}
