//! Many seeds on all cores, or one of them with its log.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;

use crate::run::{Report, run};
use crate::sabotage::Sabotage;
use crate::scenario::Scenario;
use crate::tally::Tally;
use crate::world::lock;

/// The engine in virtual time, among faults drawn from a seed.
#[derive(Parser)]
#[command(bin_name = "cargo xtask sim", max_term_width = 110)]
pub(crate) struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Print the whole log of a run: with `--seed`.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Do one step of the protocol wrong: with `--seed`, to see a law broken.
    #[arg(long, requires = "seed")]
    sabotage: Option<Sabotage>,
    /// How many threads; one for each core unless given.
    #[arg(long)]
    jobs: Option<usize>,
}

/// A seed whose run broke a law.
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) report: Report,
}

/// Does what the command line asks for.
pub(crate) fn drive(options: &Options) -> ExitCode {
    let began = Instant::now();
    if let Some(seed) = options.seed {
        let report = run(Scenario { sabotage: options.sabotage, ..Scenario::draw(seed) });
        if options.trace {
            report.log.iter().for_each(|line| println!("{line}"));
        }
        print!("{}", report.tally);
        return verdict(report.breach.is_some().then_some(Failure { seed, report }));
    }
    let jobs = options.jobs.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let (tally, failure) = sweep(options.from..options.from + options.seeds, jobs, |done| {
        let rate = done as f64 / began.elapsed().as_secs_f64().max(0.001);
        eprint!("\r{done} of {} seeds, {rate:.0} a second ", options.seeds);
    });
    eprintln!();
    print!("{tally}");
    println!("{:>9.1} seconds", began.elapsed().as_secs_f64());
    verdict(failure)
}

/// Runs seeds until one fails; of several that do, the lowest is told.
pub(crate) fn sweep(seeds: Range<u64>, jobs: usize, progress: impl Fn(u64) + Sync) -> (Tally, Option<Failure>) {
    let next = AtomicU64::new(seeds.start);
    let (total, failure) = (Mutex::new(Tally::default()), Mutex::new(None::<Failure>));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while lock(&failure).is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let report = run(Scenario::draw(seed));
                    let mut total = lock(&total);
                    total.add(&report.tally);
                    if total.seeds % PROGRESS_EVERY == 0 {
                        progress(total.seeds);
                    }
                    drop(total);
                    if report.breach.is_some() {
                        let mut failure = lock(&failure);
                        if failure.as_ref().is_none_or(|other| seed < other.seed) {
                            *failure = Some(Failure { seed, report });
                        }
                    }
                }
            });
        }
    });
    let failure = lock(&failure).take();
    (lock(&total).clone(), failure)
}

/// What a failing seed shows: the law, the end of the log, and how to see it again.
pub(crate) fn told(failure: &Failure) -> String {
    let Some(breach) = &failure.report.breach else { return String::new() };
    let log = &failure.report.log;
    let broken = log.iter().position(|line| line.contains("BROKEN")).unwrap_or(log.len());
    let tail = log[broken.saturating_sub(TAIL)..(broken + 4).min(log.len())].join("\n");
    format!(
        "seed {}: {} is broken: {}\n\n{}\n...\n{tail}\n\nAgain, with the whole log: cargo xtask sim --seed {} --trace\n",
        failure.seed, breach.law, breach.sentence, log[0], failure.seed
    )
}

fn verdict(failure: Option<Failure>) -> ExitCode {
    match failure {
        None => {
            println!("No law was broken.");
            ExitCode::SUCCESS
        }
        Some(failure) => {
            println!("{}", told(&failure));
            ExitCode::FAILURE
        }
    }
}

const PROGRESS_EVERY: u64 = 50;

/// Lines of the log before the one that broke a law.
const TAIL: usize = 60;
