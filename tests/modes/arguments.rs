//! What `cargo test` and `cargo nextest` pass, and which modes are wanted.

use crate::suite::Mode;
use std::num::NonZero;

/// The modes that this machine runs by itself; `inplace` needs a container, and is built in one elsewhere.
const MODES: [Mode; 6] = [
    Mode::Ns,
    Mode::NsTree,
    Mode::Userns,
    Mode::Single,
    Mode::Chroot,
    Mode::None,
];

/// Options of the usual harness that change nothing here.
const FLAGS_WITHOUT_EFFECT: [&str; 5] = [
    "--nocapture",
    "--no-capture",
    "--quiet",
    "-q",
    "--show-output",
];

pub(crate) struct Arguments {
    filters: Vec<String>,
    skipped: Vec<String>,
    is_exact: bool,
    pub(crate) lists: bool,
    /// Nothing is ignored here: asked for that alone, the list is empty.
    pub(crate) wants_ignored: bool,
    pub(crate) threads: usize,
    pub(crate) modes: Vec<Mode>,
}

impl Arguments {
    pub(crate) fn of_this_process() -> Self {
        let mut arguments = Self {
            filters: Vec::new(),
            skipped: Vec::new(),
            is_exact: false,
            lists: false,
            wants_ignored: false,
            threads: std::thread::available_parallelism().map_or(1, NonZero::get),
            modes: wanted_modes(),
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

    pub(crate) fn wants(&self, name: &str) -> bool {
        let matches = |filter: &String| match self.is_exact {
            true => name == filter,
            false => name.contains(filter.as_str()),
        };
        let is_wanted = self.filters.is_empty() || self.filters.iter().any(matches);
        is_wanted && !self.skipped.iter().any(matches)
    }
}

fn number(text: Option<&str>) -> usize {
    let count = text.and_then(|text| text.parse().ok());
    count.expect("`--test-threads` takes a number")
}

fn wanted_modes() -> Vec<Mode> {
    let Ok(names) = std::env::var("SAWAGANI_TEST_MODES") else {
        return MODES.to_vec();
    };
    let named = |name: &str| Mode::ALL.into_iter().find(|mode| mode.name() == name);
    let modes = names
        .split(',')
        .map(|name| named(name).unwrap_or_else(|| panic!("no mode {name}")));
    modes.collect()
}
