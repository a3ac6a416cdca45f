//! mock
use std::time::Duration;
use perennial::secret::RefreshToken;
use super::house::Plan;
#[derive(Debug)] pub(super) struct Provider;
#[derive(Debug)] pub(super) struct Fault;
#[derive(Debug)] pub(super) struct Loot { pub(super) got_tokens: bool, pub(super) words: String }
#[derive(Clone, Copy, Debug, Default)] pub(super) struct Counts { pub(super) rotated: u64, pub(super) overlapped: u64, pub(super) failed: u64, pub(super) lost: u64, pub(super) reused: u64 }
impl Counts { pub(super) fn since(&self, b: &Counts) -> Counts { *b } pub(super) fn redemptions(&self) -> u64 { self.rotated } }
impl Provider {
 pub(super) fn counts(&self) -> Counts { Counts::default() }
 pub(super) fn down(&self) -> Fault { Fault }
 pub(super) fn slow(&self, _: Duration) -> Fault { Fault }
 pub(super) fn lose_next_reply(&self) -> Fault { Fault }
 pub(super) async fn present(&self, _: &Plan, _: &RefreshToken) -> Result<Loot, String> { Err(String::new()) }
}
