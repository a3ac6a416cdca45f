//! Placeholder.
mod dev;
#[tokio::main]
async fn main() { dev::run(20_000).await }
