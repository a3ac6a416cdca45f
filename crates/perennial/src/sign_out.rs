//! Signing out: the session ends in the store, its refresh token is revoked, its cookies go.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use perennial_core::record::EndReason;
use perennial_core::session::{Carried, SessionState};

use crate::auth::Auth;
use crate::cookies::RequestCookies;
use crate::engine::Inner;
use crate::event::Event;

impl Auth {
    /// Ends the session that a request's headers carry, everywhere and for good, and answers with the `Set-Cookie` lines that
    /// remove it from the browser. A renewal in flight does not bring it back: the tokens it receives are revoked.
    ///
    /// While the store fails the end is known to this process alone, and is written in the background as soon as the store takes
    /// it: [`sign_out_reach`](Self::sign_out_reach) tells.
    ///
    /// For an application's own sign-out; guard its route against other sites.
    pub async fn sign_out(&self, headers: &HeaderMap) -> Vec<HeaderValue> {
        self.inner.sign_out(headers).await;
        self.inner.cleared(headers)
    }
}

impl Inner {
    /// Ends the session of `headers` and answers with its newest generation; `None` if there is none, or it was over already.
    pub(crate) async fn sign_out(self: &Arc<Self>, headers: &HeaderMap) -> Option<Arc<SessionState>> {
        let opened = self.open(headers).filter(|opened| self.tombstones.find(opened.id()).is_none())?;
        let newest = match &opened.carried {
            Carried::Whole(state) => self.end(state, EndReason::SignedOut).await,
            Carried::Handle(handle) => self.end_recorded(handle, EndReason::SignedOut).await,
        };
        self.emit(Event::SignedOut { at: self.now(), session: opened.id().fingerprint() });
        if let Some(newest) = newest.clone() {
            self.revoke_in_background(newest);
        }
        newest
    }

    /// `Set-Cookie` lines that remove the session from the browser, whatever it consists of.
    pub(crate) fn cleared(&self, headers: &HeaderMap) -> Vec<HeaderValue> {
        self.names.forget_session(&self.present(headers))
    }

    /// The names of the session's cookies that a request brings, whether they open or not.
    pub(crate) fn present(&self, headers: &HeaderMap) -> Vec<String> {
        self.names.of_session(&RequestCookies::read(headers))
    }
}
