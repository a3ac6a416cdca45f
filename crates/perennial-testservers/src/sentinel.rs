//! A Redis master with a replica, and the Sentinels that choose between them.

use std::process::Command;

use tempfile::TempDir;

use crate::process::{Process, free_port, program, until};
use crate::redis::RedisServer;
use crate::wire;

/// Master, replica and three Sentinels that call them `main`.
pub struct RedisSentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    _process: Process,
    port: u16,
    _folder: TempDir,
}

impl RedisSentinels {
    /// Starts all, and waits until they know each other.
    pub fn start() -> Self {
        let master = RedisServer::start();
        let port = master.port().to_string();
        let replica = RedisServer::with(&["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"]);
        until("the replica follows", || {
            replica.ask(&["INFO", "replication"]).is_ok_and(|info| info.contains("master_link_status:up"))
        });
        let sentinels: Vec<Sentinel> = (0..3).map(|_| Sentinel::start(&port)).collect();
        for sentinel in &sentinels {
            until("the Sentinels know each other and the replica", || {
                let known = wire::ask(sentinel.port, &["SENTINEL", "MASTER", "main"]).unwrap_or_default();
                let known: Vec<&str> = known.lines().collect();
                let says = |name, value| known.windows(2).any(|pair| pair == [name, value]);
                says("num-other-sentinels", "2") && says("num-slaves", "1")
            });
        }
        Self { servers: vec![master, replica], sentinels }
    }

    /// `redis+sentinel://`, with all three Sentinels.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("redis+sentinel://{}/main", hosts.join(","))
    }

    /// Kills the master and waits until the Sentinels have put the replica in its place.
    pub fn fail_over(&mut self) {
        self.servers[0].kill();
        let replica = self.servers[1].port().to_string();
        for sentinel in &self.sentinels {
            until("the Sentinels name the replica", || {
                wire::ask(sentinel.port, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"])
                    .is_ok_and(|address| address.lines().nth(1) == Some(&replica))
            });
        }
    }
}

impl Sentinel {
    fn start(master: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a temporary folder"), free_port());
        let settings = folder.path().join("sentinel.conf");
        // A Sentinel writes into its settings, so they are a file.
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
            folder.path().display()
        );
        std::fs::write(&settings, text).expect("its folder can be written");
        let mut command = Command::new(program("redis-sentinel", &[], "redis-sentinel"));
        command.arg(&settings);
        let process = Process::start(command, &folder.path().join("log"), || wire::ask(port, &["PING"]).is_ok());
        Self { _process: process, port, _folder: folder }
    }
}
