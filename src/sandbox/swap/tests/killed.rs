//! A swap that is killed after every one of its changes, and random ones.

use std::fs;
use std::path::{Path, PathBuf};

use super::fault;
use super::place::{Listing, Place, fill, set_mode};
use super::{debian, run};
use crate::sandbox::swap::{Swap, SwapError, recover};

/// Enters, runs and leaves until killed; says whether it came to the end.
pub(super) fn swap_once(place: &Place, command: &dyn Fn(&Path)) -> Result<(), SwapError> {
    let (swap, tree) = (place.swap(), place.open_tree());
    let inside = swap.enter(&tree)?;
    command(&place.root(""));
    inside.leave(&place.kept)?;
    Ok(())
}

pub(super) fn recover_here(place: &Place) -> Result<bool, SwapError> {
    recover(&place.open_root(), &place.aside(), &place.kept)
}

/// Kills a swap in a fresh place after each of its changes and recovers. Returns how many there were.
fn kill_everywhere(fresh: impl Fn() -> (Place, Listing), command: &dyn Fn(&Path)) -> u64 {
    for count in 0.. {
        let (place, before) = fresh();
        fault::die_after(count);
        let outcome = swap_once(&place, command);
        let was_killed = fault::live();
        if was_killed && outcome.is_err() {
            recover_here(&place).unwrap();
        } else {
            outcome.unwrap();
        }
        assert_eq!(place.list_root(), before, "killed after {count} changes");
        assert!(!Swap::is_pending(&place.aside()).unwrap());
        assert!(!place.root("work/aside/trash").exists());
        fault::forget_lower();
        if !was_killed {
            return count;
        }
    }
    unreachable!("a swap has an end")
}

pub(super) fn busy_command(root: &Path) {
    fs::write(root.join("etc/passwd"), "changed").unwrap();
    fs::write(root.join("var/run/pid"), "1").unwrap();
    fs::create_dir_all(root.join("own/deep/below")).unwrap();
    fs::remove_dir_all(root.join("usr")).unwrap();
    set_mode(root, 0o700);
    set_mode(&root.join("var/run"), 0o700);
}

#[test]
fn a_swap_killed_after_any_change_is_undone() {
    let fresh = || {
        let place = debian();
        let before = place.list_root();
        (place, before)
    };
    let changes = kill_everywhere(fresh, &busy_command);
    assert!(changes > 40, "{changes}");
}

#[test]
fn a_swap_with_directories_of_a_lower_layer_killed_after_any_change_is_undone() {
    let fresh = || {
        let place = debian();
        fs::create_dir_all(place.root("opt/a/b")).unwrap();
        fs::write(place.root("opt/a/file"), "own").unwrap();
        fs::hard_link(place.root("opt/a/file"), place.root("opt/a/b/second")).unwrap();
        set_mode(&place.root("opt/a/b"), 0o2750);
        let before = place.list_root();
        fault::make_lower(&place.root("opt"));
        fault::make_lower(&place.root("etc"));
        (place, before)
    };
    kill_everywhere(fresh, &busy_command);
}

#[test]
fn a_recovery_killed_after_any_change_is_finished_by_the_next() {
    // Deaths of the swap in each of its phases.
    for first in [12, 28, 44] {
        for second in 0.. {
            let place = debian();
            let before = place.list_root();
            fault::make_lower(&place.root("etc"));
            fault::die_after(first);
            let outcome = swap_once(&place, &busy_command);
            assert!(fault::live() && outcome.is_err(), "{first} changes are all");
            fault::die_after(second);
            let _ = recover_here(&place);
            let was_killed = fault::live();
            recover_here(&place).unwrap();
            fault::forget_lower();
            assert_eq!(place.list_root(), before, "killed after {first}, {second}");
            assert!(!place.root("work/aside/trash").exists());
            if !was_killed {
                break;
            }
        }
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Makes files, links and directories below `dir`, and returns the paths of all.
fn grow(top: &Path, path: &Path, depth: usize, dice: &mut Dice, found: &mut Vec<PathBuf>) {
    for name in NAMES {
        let path = path.join(name);
        let full = top.join(&path);
        match dice.throw(6) {
            0 => continue,
            1 => fs::write(&full, path.to_str().unwrap()).unwrap(),
            2 => std::os::unix::fs::symlink(NAMES[dice.throw(4)], &full).unwrap(),
            3 if !found.is_empty() => {
                let other = top.join(&found[dice.throw(found.len())]);
                match other.is_file() {
                    true => fs::hard_link(&other, &full).unwrap(),
                    false => continue,
                }
            }
            _ => {
                fs::create_dir(&full).unwrap();
                if depth > 0 {
                    grow(top, &path, depth - 1, dice, found);
                }
                set_mode(&full, [0o755, 0o700, 0o2775, 0o1777][dice.throw(4)]);
            }
        }
        found.push(path);
    }
}

/// A random container with random kept paths, and a random tree.
fn random_place(seed: u64) -> Place {
    let mut dice = Dice(seed);
    let mut place = Place::new(&[]);
    let mut own = Vec::new();
    grow(&place.root(""), Path::new(""), 3, &mut dice, &mut own);
    grow(
        &place.tree(""),
        Path::new(""),
        3,
        &mut dice,
        &mut Vec::new(),
    );
    for _ in 0..dice.throw(5) {
        if !own.is_empty() {
            place.kept.push(own[dice.throw(own.len())].clone());
        }
    }
    place.kept.push(PathBuf::from("d/not/there"));
    // Times of long ago: those of now could be the same by accident.
    fill(&place.tree(""), &[]);
    for path in own {
        super::set_mtime(
            &place.root("").join(path),
            900_000_000 + dice.throw(1000) as i64,
        );
    }
    place
}

#[test]
fn random_trees_come_back_as_they_were_to_a_random_container() {
    for seed in 0..60 {
        let place = random_place(seed);
        let (root, tree) = (place.list_root(), place.list_tree());
        run(&place, |_| {}).unwrap();
        assert_eq!(place.list_root(), root, "seed {seed}");
        assert_eq!(place.list_tree(), tree, "seed {seed}");
    }
}

#[test]
fn random_swaps_killed_at_random_are_undone() {
    let mut deaths = 0;
    for seed in 0..120 {
        let place = random_place(seed);
        let root = place.list_root();
        let mut dice = Dice(seed + 1_000_000);
        if seed % 2 == 0 {
            fault::make_lower(&place.root(""));
        }
        fault::die_after(dice.throw(60) as u64);
        let outcome = swap_once(&place, &|root| {
            // A file where nothing is kept, and everything removed that is not.
            fs::write(root.join("new"), "new").unwrap();
            for name in NAMES {
                let is_kept = place.kept.iter().any(|kept| kept.starts_with(name));
                if !is_kept && root.join(name).is_dir() && !root.join(name).is_symlink() {
                    fs::remove_dir_all(root.join(name)).unwrap();
                }
            }
        });
        while fault::live() && outcome.is_err() {
            deaths += 1;
            fault::die_after(dice.throw(40) as u64);
            let _ = recover_here(&place);
        }
        recover_here(&place).unwrap();
        fault::forget_lower();
        assert_eq!(place.list_root(), root, "seed {seed}");
    }
    assert!(deaths > 60, "{deaths}");
}
