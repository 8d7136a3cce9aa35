//! Which mode it is going to be: the strongest that works, or the one that was asked for.

use super::attempt::Attempt;
use super::enter::EnterOptions;
use super::failure::Failure;
use super::isolation::{Ids, Isolation, Mode};
use super::mountinfo::Mount;
use super::own_root::check_own_image;
use super::probe::{Facts, try_chroot, try_ns, try_root_rights, try_user_namespace, try_userns};
use super::state_dir;
use super::userns::may_map_all;

/// Strongest first. The last one always works.
const BEST_FIRST: [Isolation; 5] = [
    Isolation::Ns,
    Isolation::Userns,
    Isolation::Inplace,
    Isolation::Chroot,
    Isolation::None,
];

/// A mode that works, with what failed before it.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) mode: Mode,
    pub(super) facts: Facts,
    pub(super) attempts: Vec<Attempt>,
}

/// Returns the first mode that works of those that `options` allow, else what failed.
pub(super) fn choose(options: &EnterOptions, mounts: &[Mount]) -> Result<Choice, Vec<Attempt>> {
    let wanted: &[Isolation] = match &options.isolation {
        Isolation::Auto => &BEST_FIRST,
        named @ (Isolation::Ns
        | Isolation::Userns
        | Isolation::Inplace
        | Isolation::Chroot
        | Isolation::None) => std::slice::from_ref(named),
    };
    let start = std::time::Instant::now();
    let mut attempts: Vec<Attempt> = Vec::new();
    for isolation in wanted {
        for mode in modes_of(*isolation) {
            match try_mode(mode, options, mounts) {
                Ok(facts) => {
                    let milliseconds = start.elapsed().as_millis();
                    tracing::debug!(mode = mode.name(), ?facts, milliseconds, "isolation probed");
                    return Ok(Choice {
                        mode,
                        facts,
                        attempts,
                    });
                }
                Err(failure) => {
                    tracing::debug!(?mode, %failure, "isolation does not work");
                    let attempt = Attempt::new(mode, failure);
                    // Where no user namespace can be made, each kind of ids fails alike.
                    if !attempts.iter().any(|other| attempt.repeats(other)) {
                        attempts.push(attempt);
                    }
                }
            }
        }
    }
    Err(attempts)
}

/// Returns the kinds of `isolation` that may work here, best first. Most processes may not map all
/// ids, which is no failure worth a word.
fn modes_of(isolation: Isolation) -> Vec<Mode> {
    match isolation {
        Isolation::Auto => BEST_FIRST.into_iter().flat_map(modes_of).collect(),
        Isolation::Ns => vec![Mode::Ns],
        Isolation::Userns => {
            let whole = may_map_all().then_some(Ids::Whole);
            let kinds = whole.into_iter().chain([Ids::Range, Ids::Single]);
            kinds.map(Mode::Userns).collect()
        }
        Isolation::Inplace => vec![Mode::Inplace],
        Isolation::Chroot => vec![Mode::Chroot],
        Isolation::None => vec![Mode::None],
    }
}

fn try_mode(mode: Mode, options: &EnterOptions, mounts: &[Mount]) -> Result<Facts, Failure> {
    match mode {
        Mode::Ns => try_ns(),
        Mode::Userns(ids) => {
            try_user_namespace()?;
            try_userns(ids)
        }
        Mode::Inplace => {
            try_root_rights()?;
            if !options.allows_in_place {
                check_own_image(&options.tool_dir, &options.kept, mounts)?;
            }
            state_dir::try_inplace(options, mounts)?;
            Ok(Facts::default())
        }
        Mode::Chroot => {
            try_root_rights()?;
            try_chroot()?;
            Ok(Facts::default())
        }
        Mode::None => Ok(Facts::default()),
    }
}
