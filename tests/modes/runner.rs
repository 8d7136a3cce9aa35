//! Goes through the cases, several at a time, and prints a line for each.

use crate::arguments::Arguments;
use crate::one_case;
use crate::suite::{Case, Place};
use std::process::exit;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub(crate) fn run() {
    let arguments = Arguments::of_this_process();
    let all = Case::all();
    let total = all.len();
    let cases: Vec<Case> = all
        .into_iter()
        .filter(|case| arguments.wants(&case.name))
        // Nothing is ignored here: asked for that alone, there is nothing to run.
        .filter(|_| !arguments.wants_ignored)
        .collect();
    if arguments.lists {
        cases
            .iter()
            .for_each(|case| println!("{}: test", case.name));
        return;
    }
    let start = Instant::now();
    let failed = failures(&cases, &arguments);
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    // As the usual harness closes, for those who read its last line.
    println!(
        "\ntest result: {verdict}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s",
        cases.len() - failed,
        total - cases.len(),
        start.elapsed().as_secs_f64()
    );
    exit(i32::from(failed > 0));
}

/// Builds all cases and returns how many failed.
fn failures(cases: &[Case], arguments: &Arguments) -> usize {
    if cases.is_empty() {
        return 0;
    }
    // Started by the thread that lives longest: the registry ends with it.
    let place = Place::open();
    one_case::catch_panics();
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let output = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.clamp(1, cases.len()) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let complaints = one_case::complaints(&place, case, &arguments.modes);
                    failed.fetch_add(usize::from(!complaints.is_empty()), Ordering::Relaxed);
                    let _turn = output.lock().expect("no thread panics while it prints");
                    print_verdict(case, &complaints);
                }
            });
        }
    });
    failed.into_inner()
}

fn print_verdict(case: &Case, complaints: &[String]) {
    if complaints.is_empty() {
        println!("test {} ... ok", case.name);
    } else {
        println!("test {} ... FAILED\n{}", case.name, complaints.join("\n"));
    }
}
