//! `[admin]`: where operators ask.

use std::net::SocketAddr;

use perennial::ConfigFault;

use super::setting::{Section, Setting};
use super::values::Values;

pub(super) const ADMIN: Section = Section::new(
    "admin",
    "Metrics, `perennial explain`, health; none unless set.",
    &[
        Setting::text(
            "listen",
            "loopback address and port of the [admin listener](observability.md#the-admin-listener), such as \
             `\"127.0.0.1:9420\"`: metrics, `perennial explain`, health",
        )
        .falls_back_to("none")
        .remedy(
            "write a loopback address and a port, such as \"127.0.0.1:9420\"; one that others can reach takes \
             dangerous_admin_public = true in the file's [admin]",
        )
        .sample("127.0.0.1:9420", "")
        .at_start(),
        Setting::flag(
            "dangerous_admin_public",
            "let it listen where others can reach it, who then read how sessions fared",
        )
        .note("an address that others can reach")
        .at_start(),
    ],
);

/// Where the admin listener is to be, if it is wanted.
pub(super) fn listen(admin: &Values, faults: &mut Vec<ConfigFault>) -> Option<SocketAddr> {
    let public = admin.flag("dangerous_admin_public");
    admin.parsed("listen", faults, |text| {
        text.parse().ok().filter(|address: &SocketAddr| public || address.ip().is_loopback())
    })
}
