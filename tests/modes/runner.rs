//! Goes through the cases, several at a time.

use crate::arguments;
use crate::one_case;
use crate::suite::{Case, Place};
use crate::support::harness::{self, Arguments};
use std::process::exit;
use std::time::Instant;

pub(crate) fn run() {
    let arguments = Arguments::of_this_process();
    let modes = arguments::wanted_modes();
    let all = Case::all();
    let total = all.len();
    let cases: Vec<Case> = all
        .into_iter()
        .filter(|case| arguments.wants(&case.name))
        .collect();
    if arguments.lists {
        cases
            .iter()
            .for_each(|case| println!("{}: test", case.name));
        return;
    }
    let start = Instant::now();
    // Opened where there is something to build, by the thread that lives longest: the registry ends with it.
    let place = (!cases.is_empty()).then(Place::open);
    let failed = place.map_or(0, |place| {
        harness::failures(
            &cases,
            arguments.threads,
            |case| &case.name,
            |case| one_case::complaints(&place, case, &modes),
        )
    });
    harness::print_sum(
        cases.len() - failed,
        failed,
        total - cases.len(),
        start.elapsed().as_secs_f64(),
    );
    exit(i32::from(failed > 0));
}
