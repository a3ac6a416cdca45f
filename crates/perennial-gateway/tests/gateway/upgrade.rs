//! WebSocket: agreed between client and upstream, with the user's identity, and then left alone.

use tokio::io::AsyncWriteExt as _;

use crate::harness::{Stage, Wire, raw};

const ASK: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn bytes_pass_both_ways_after_the_upgrade() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    let mut wire = Wire::open(stage.gateway.address).await;
    wire.write(format!("GET /socket/websocket HTTP/1.1\r\nHost: a\r\n{ASK}{}\r\n", alice.cookie_line())).await;
    let head = wire.until("\r\n\r\n").await.to_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: websocket"), "{head}");
    assert!(head.contains("connection: upgrade"), "{head}");
    for word in ["hello", "again"] {
        wire.write(word).await;
        wire.until(&word.to_uppercase()).await;
    }
    wire.stream.shutdown().await.expect("our half closes");
    assert_eq!(wire.rest().await, "", "and the upstream's follows");
}

#[tokio::test]
async fn the_upstream_learns_who_opens_the_socket_and_a_stranger_opens_none() {
    let stage = Stage::quick().await;
    let alice = stage.signed_in().await;
    // This path upgrades to nothing: the upstream answers with what it saw.
    let request = format!("GET /socket/other HTTP/1.1\r\nHost: a\r\n{ASK}{}\r\n", alice.cookie_line());
    let mut wire = Wire::open(stage.gateway.address).await;
    wire.write(request).await;
    let told = wire.until("\"bytes\":0}").await;
    for seen in
        ["[\"upgrade\",\"websocket\"]", "[\"connection\",\"upgrade\"]", "[\"x-forwarded-user\",\"alice\"]", "Bearer "]
    {
        assert!(told.contains(seen), "{seen} is missing: {told}");
    }
    let hits = stage.upstream.hits();
    let mut wire = Wire::open(stage.gateway.address).await;
    wire.write(format!("GET /socket/websocket HTTP/1.1\r\nHost: a\r\n{ASK}\r\n")).await;
    assert!(wire.until("\r\n").await.starts_with("HTTP/1.1 401"));
    assert_eq!(stage.upstream.hits(), hits);
}

/// Whoever talks HTTP/2 to the upstream through us (`h2c`) would say what he likes in our name.
#[tokio::test]
async fn nothing_but_websocket_is_let_through() {
    let stage = Stage::with("[[routes]]\npath = \"/\"\nupstream = \"UPSTREAM\"\naccess = \"public\"\n").await;
    for protocol in ["h2c", "h2c, websocket", "websocket, h2c", "TLS/1.0", "anything"] {
        // The upstream would agree to just this.
        let path = protocol.replace(' ', "%20").replace('/', "%2f");
        let request = format!(
            "GET /socket/{path} HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        );
        let answer = raw(stage.gateway.address, request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{protocol}: {answer}");
        let told = answer.to_lowercase();
        assert!(!told.contains("[\"upgrade\"") && !told.contains("http2-settings"), "{protocol}: {answer}");
    }
}
