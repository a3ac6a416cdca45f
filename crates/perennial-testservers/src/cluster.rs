//! A cluster of three masters, of Redis or Valkey.

use crate::process::{free_port, until};
use crate::redis::{Make, RedisServer};

/// Three masters that share the 16384 slots.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts one of Redis, and waits until every node says that the cluster is whole.
    pub fn start() -> Self {
        Self::of(Make::Redis)
    }

    /// The same of this make.
    pub fn of(make: Make) -> Self {
        let buses: Vec<String> = (0..3).map(|_| free_port().to_string()).collect();
        let node = |bus: &String| {
            let options = ["--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000"];
            RedisServer::made(make, &options)
        };
        let nodes: Vec<RedisServer> = buses.iter().map(node).collect();
        for (number, node) in (0..).zip(&nodes) {
            let (first, last) = (number * 16384 / 3, (number + 1) * 16384 / 3 - 1);
            let slots = [first, last].map(|slot: u32| slot.to_string());
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", &slots[0], &slots[1]]).expect("slots nobody has");
        }
        for (node, bus) in nodes.iter().zip(&buses) {
            nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), bus]).expect("they can meet");
        }
        for node in &nodes {
            until("every node knows the cluster to be whole", || {
                let info = node.ask(&["CLUSTER", "INFO"]).unwrap_or_default();
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
        }
        Self { nodes }
    }

    /// `redis+cluster://`, with all three nodes.
    pub fn url(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// The nodes.
    pub fn nodes(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }
}
