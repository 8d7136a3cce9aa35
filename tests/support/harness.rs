//! What the usual harness does for a binary whose cases are found when it runs: arguments, turns, and a line for each.

use std::cell::RefCell;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Options of the usual harness that change nothing here.
const FLAGS_WITHOUT_EFFECT: [&str; 5] = [
    "--nocapture",
    "--no-capture",
    "--quiet",
    "-q",
    "--show-output",
];

thread_local! {
    /// What the last panic of this thread said: an assertion of `support` is a complaint here, not the end.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What `cargo test` and `cargo nextest` pass.
pub(crate) struct Arguments {
    filters: Vec<String>,
    skipped: Vec<String>,
    is_exact: bool,
    pub(crate) lists: bool,
    /// Nothing is ignored here: asked for that alone, the list is empty.
    pub(crate) wants_ignored: bool,
    pub(crate) threads: usize,
}

/// As the usual harness: what the variable says, or one for each core.
pub(crate) fn threads_by_default() -> usize {
    match std::env::var("RUST_TEST_THREADS") {
        Ok(count) => number(Some(&count)),
        Err(_) => std::thread::available_parallelism().map_or(1, NonZero::get),
    }
}

impl Arguments {
    pub(crate) fn of_this_process() -> Self {
        let mut arguments = Self {
            filters: Vec::new(),
            skipped: Vec::new(),
            is_exact: false,
            lists: false,
            wants_ignored: false,
            threads: threads_by_default(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--exact" => arguments.is_exact = true,
                "--list" => arguments.lists = true,
                "--ignored" => arguments.wants_ignored = true,
                "--format" => drop(words.next()),
                "--skip" => arguments.skipped.extend(words.next()),
                "--test-threads" => arguments.threads = number(words.next().as_deref()),
                other => match other.strip_prefix("--test-threads=") {
                    Some(count) => arguments.threads = number(Some(count)),
                    None if FLAGS_WITHOUT_EFFECT.contains(&other) => {}
                    None if other.starts_with('-') => panic!("unknown option `{other}`"),
                    None => arguments.filters.push(word),
                },
            }
        }
        arguments
    }

    /// Whether the case of this name is to be run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let matches = |filter: &String| match self.is_exact {
            true => name == filter,
            false => name.contains(filter.as_str()),
        };
        let is_wanted = self.filters.is_empty() || self.filters.iter().any(matches);
        is_wanted && !self.wants_ignored && !self.skipped.iter().any(matches)
    }
}

fn number(text: Option<&str>) -> usize {
    let count = text.and_then(|text| text.parse().ok());
    count.expect("`--test-threads` takes a number")
}

/// Runs all cases, several at a time, prints a line for each with its complaints, and returns how many have some.
pub(crate) fn failures<T: Sync>(
    cases: &[T],
    threads: usize,
    name: impl Fn(&T) -> &str + Sync,
    complaints: impl Fn(&T) -> Vec<String> + Sync,
) -> usize {
    std::panic::set_hook(Box::new(|info| {
        PANIC.with_borrow_mut(|said| *said = info.to_string());
    }));
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let output = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, cases.len().max(1)) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let complaints =
                        guarded(|| complaints(case)).unwrap_or_else(|panic| vec![panic]);
                    failed.fetch_add(usize::from(!complaints.is_empty()), Ordering::Relaxed);
                    let _turn = output.lock().expect("no thread panics while it prints");
                    print_verdict(name(case), &complaints);
                }
            });
        }
    });
    failed.into_inner()
}

/// What `work` returns, or how it panicked, in a thread of `failures`.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| PANIC.with_borrow(String::clone))
}

fn print_verdict(name: &str, complaints: &[String]) {
    if complaints.is_empty() {
        println!("test {name} ... ok");
    } else {
        println!("test {name} ... FAILED\n{}", complaints.join("\n"));
    }
}

/// Closes as the usual harness does, for those who read its last line.
pub(crate) fn print_sum(passed: usize, failed: usize, filtered: usize, seconds: f64) {
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered} filtered out; finished in {seconds:.2}s"
    );
}
