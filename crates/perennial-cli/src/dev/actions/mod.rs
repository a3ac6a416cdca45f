//! The experiments of the page.

pub(super) mod catalogue;
