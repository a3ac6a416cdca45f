//! What must hold, judged from what was seen. The names are those of `docs/proof.md`.

mod answers;
mod calls;
mod losses;
mod pace;
mod records;

pub(crate) use answers::Asking;
