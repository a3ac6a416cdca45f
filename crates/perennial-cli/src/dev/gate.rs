//! mock
use std::sync::Arc;
use perennial::{Auth, secret::CookieSecret};
use super::house::House;
#[derive(Debug)] pub(super) struct GateError;
impl std::fmt::Display for GateError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("no") } }
pub(super) struct Gate { auth: Auth }
impl std::fmt::Debug for Gate { fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { Ok(()) } }
impl Gate { pub(super) fn open(h: &Arc<House>, _: &[CookieSecret]) -> Result<Self, GateError> { let _ = super::front::router(h, axum::Router::new()); Err(GateError) } pub(super) fn auth(&self) -> &Auth { &self.auth } pub(super) fn kill(self) {} }
