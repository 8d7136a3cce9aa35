//! Which modes are wanted.

use crate::suite::Mode;

/// The modes that this machine runs by itself; `inplace` needs a container, and is built in one elsewhere.
const MODES: [Mode; 6] = [
    Mode::Ns,
    Mode::NsTree,
    Mode::Userns,
    Mode::Single,
    Mode::Chroot,
    Mode::None,
];

/// Those that `SAWAGANI_TEST_MODES` names (`chroot,userns`), or all.
pub(crate) fn wanted_modes() -> Vec<Mode> {
    let Ok(names) = std::env::var("SAWAGANI_TEST_MODES") else {
        return MODES.to_vec();
    };
    let named = |name: &str| Mode::ALL.into_iter().find(|mode| mode.name() == name);
    let modes = names
        .split(',')
        .map(|name| named(name).unwrap_or_else(|| panic!("no mode {name}")));
    modes.collect()
}
