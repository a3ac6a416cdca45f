//! `[forward_auth]`: where other proxies ask, and who is answered.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use perennial::ConfigFault;

use super::setting::{Section, Setting};
use super::values::Values;
use crate::forward_auth::ForwardAuthSettings;

pub(super) const FORWARD_AUTH: Section = Section::new(
    "forward_auth",
    "Other proxies ask here about each request; nobody unless `listen` is set.",
    &[
        Setting::text(
            "listen",
            "address and port where nginx, Caddy, Traefik or Envoy [ask about each request](forward-auth.md), such as \
             `\"127.0.0.1:4210\"`; its answers hold access tokens, so let only the proxies reach it",
        )
        .falls_back_to("none")
        .remedy(
            "write an address and a port of their own, such as \"127.0.0.1:4210\", that no browser's request is passed to",
        )
        .sample("127.0.0.1:4210", "for nginx, Caddy, Traefik, Envoy: docs/forward-auth.md")
        .at_start(),
        Setting::texts("trusted", "addresses and networks of the proxies that are answered; nobody else is")
            .default("127.0.0.0/8,::1/128")
            .remedy(TRUSTED_REMEDY)
            .at_start(),
    ],
);

/// Where other proxies are to ask, if they are. `listen` of the whole gateway is another address.
pub(super) fn forward_auth(
    table: &Values,
    gateway: Option<SocketAddr>,
    faults: &mut Vec<ConfigFault>,
) -> Option<ForwardAuthSettings> {
    let listen = table.parsed("listen", faults, |text| text.parse().ok().filter(|listen| Some(*listen) != gateway));
    let mut trusted = Vec::new();
    for text in table.texts("trusted") {
        match text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => trusted.push(network),
            Err(_) => faults.push(table.fault("trusted", TRUSTED_REMEDY)),
        }
    }
    Some(ForwardAuthSettings { listen: listen?, trusted })
}

const TRUSTED_REMEDY: &str = "write addresses or networks, such as [\"10.0.0.7\", \"10.1.0.0/16\"]";
