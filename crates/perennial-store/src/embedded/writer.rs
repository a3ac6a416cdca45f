//! The one thread that writes: it gathers what waits, makes it durable with one fsync, then answers everyone.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::place::{Opener, Place};
use super::request::Job;
use super::tables;
use crate::bells::Bells;
use crate::{StoreError, limits};

/// Starts the writing thread; it ends once every sender of `jobs` is gone and the queue is empty.
pub(super) fn spawn(
    jobs: mpsc::Receiver<Box<dyn Job>>,
    place: Arc<Place>,
    bells: Arc<Bells>,
    opener: Opener,
    pause: Duration,
) -> io::Result<JoinHandle<()>> {
    let writer = Writer { jobs, place, bells, opener, pause, trouble: None };
    std::thread::Builder::new().name("perennial-store".to_owned()).spawn(|| writer.run())
}

struct Writer {
    jobs: mpsc::Receiver<Box<dyn Job>>,
    place: Arc<Place>,
    bells: Arc<Bells>,
    opener: Opener,
    /// After a failure, writes are refused for this long.
    pause: Duration,
    /// The last failure, for as long as nothing was written since.
    trouble: Option<(Instant, StoreError)>,
}

impl Writer {
    fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < limits::BATCH_WRITES
                && let Ok(next) = self.jobs.try_recv()
            {
                batch.push(next);
            }
            self.serve(batch);
        }
        self.place.close();
    }

    fn serve(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let outcome = match &self.trouble {
            // Reads go on meanwhile: each attempt to write to a full disk costs them a reopening.
            Some((since, error)) if since.elapsed() < self.pause => Err(error.clone().before_writing()),
            _ => self.write(&mut batch),
        };
        for job in batch {
            job.finish(outcome.clone());
        }
    }

    fn write(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        self.place.mend(&self.opener);
        let committed =
            self.place.with(|db| tables::commit(db, |tables| batch.iter_mut().try_for_each(|job| job.apply(tables))));
        match committed {
            Ok(changed) => {
                self.trouble = None;
                // Rung after the commit, so that whoever wakes reads the change.
                changed.iter().for_each(|key| self.bells.ring(key));
                Ok(())
            }
            Err(error) => {
                tracing::error!(code = error.code(), cause = ?error, "a batch of session writes failed");
                if self.place.is_open() {
                    self.place.lose(error.clone());
                    self.place.mend(&self.opener);
                }
                self.trouble = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}
