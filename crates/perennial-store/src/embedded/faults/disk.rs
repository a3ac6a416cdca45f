//! A disk in memory that tells what was synced from what was only written, and fails on demand.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What a process reads: everything written.
    content: Vec<u8>,
    /// What the platter holds for certain.
    synced: Vec<u8>,
    /// What was written since the last sync, in order.
    since: Vec<Change>,
    /// Sparse, as a file is: growing costs nothing, writing a page for the first time does.
    allocated: BTreeSet<u64>,
    quota: Option<usize>,
    operations: u64,
    syncs: u64,
    fail_at: Option<u64>,
    die_at: Option<u64>,
}

#[derive(Clone, Debug)]
enum Change {
    Length(usize),
    Write(usize, Vec<u8>),
}

const PAGE: u64 = 4096;

impl Disk {
    pub(super) fn new() -> Self {
        Self::holding(Vec::new())
    }

    fn holding(content: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { synced: content.clone(), content, ..State::default() })))
    }

    /// Another disk with the same content.
    pub(super) fn copy(&self) -> Self {
        Self::holding(self.state().content.clone())
    }

    /// Operations that changed the disk or synced it, so far.
    pub(super) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// How often the disk was synced so far.
    pub(super) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// The `nth` operation from now fails, once.
    pub(super) fn fail_at(&self, nth: u64) {
        let mut state = self.state();
        state.fail_at = Some(state.operations + nth);
    }

    /// From the `nth` operation on, all fail.
    pub(super) fn die_at(&self, nth: u64) {
        let mut state = self.state();
        state.die_at = Some(state.operations + nth);
    }

    /// Nothing fails any more.
    pub(super) fn mend(&self) {
        let mut state = self.state();
        (state.fail_at, state.die_at) = (None, None);
    }

    /// Whether the planned failure has happened.
    pub(super) fn has_failed(&self) -> bool {
        let state = self.state();
        let planned = state.fail_at.or(state.die_at);
        planned.is_some_and(|planned| planned <= state.operations)
    }

    /// At most `bytes` can be in use.
    pub(super) fn allow(&self, bytes: usize) {
        self.state().quota = Some(bytes);
    }

    /// A disk with what was synced, and with what `seed` chooses of the rest: the order of writes is the disk's own.
    pub(super) fn after_power_loss(&self, seed: u64) -> Self {
        let state = self.state();
        let mut content = state.synced.clone();
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for change in &state.since {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            if dice >> 63 == 1 {
                change.apply(&mut content);
            }
        }
        Self::holding(content)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Length(length) => content.resize(*length, 0),
            Change::Write(offset, data) => {
                let end = offset + data.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl State {
    fn operation(&mut self) -> io::Result<()> {
        self.operations += 1;
        let fails = self.fail_at == Some(self.operations) || self.die_at.is_some_and(|last| last <= self.operations);
        match fails {
            true => Err(io::Error::other("planted failure")),
            false => Ok(()),
        }
    }

    fn allocate(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let pages = offset / PAGE..=(offset + length as u64).saturating_sub(1) / PAGE;
        let fresh = pages.clone().filter(|page| !self.allocated.contains(page)).count();
        let used = (self.allocated.len() + fresh) * PAGE as usize;
        if self.quota.is_some_and(|quota| used > quota) {
            return Err(io::Error::from(ErrorKind::StorageFull));
        }
        self.allocated.extend(pages);
        Ok(())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.content);
        self.since.push(change);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().content.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let offset = usize::try_from(offset).unwrap();
        let bytes = state.content.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.operation()?;
        state.allocated.retain(|page| page * PAGE < len);
        state.change(Change::Length(usize::try_from(len).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.operation()?;
        state.syncs += 1;
        for change in std::mem::take(&mut state.since) {
            change.apply(&mut state.synced);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.operation()?;
        state.allocate(offset, data.len())?;
        state.change(Change::Write(usize::try_from(offset).unwrap(), data.to_vec()));
        Ok(())
    }
}
