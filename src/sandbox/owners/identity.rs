//! Who a process thinks it is, and the kernel's rules for becoming somebody else.
//!
//! credentials(7), setuid(2), setreuid(2), setresuid(2), setfsuid(2) and kernel/sys.c. A process may
//! do anything to its ids while its effective user is root: the kernel asks for a capability, which
//! comes and goes with that, unless the process asks to keep it (prctl(2), `PR_SET_KEEPCAPS`).

use std::sync::Arc;

use rustix::io::Errno;

/// The number that stands for "leave it as it is", and is no id.
pub(super) const LEAVE: u32 = u32::MAX;

/// Users and groups of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub(super) user: Ids,
    pub(super) group: Ids,
    /// Supplementary groups, sorted as the kernel sorts them.
    pub(super) groups: Arc<[u32]>,
    pub(super) capabilities: Capabilities,
}

/// What a process that stops being root keeps of its rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Capabilities {
    /// It asked to keep them.
    keeps: bool,
    /// It is not root any more and kept them. The kernel lets it use them only after capset(2), which
    /// is what such a process does next.
    has_kept: bool,
}

impl Capabilities {
    /// `PR_SET_KEEPCAPS`.
    pub(super) fn keep(&mut self, keeps: bool) {
        self.keeps = keeps;
    }

    /// Follows a change of the user ids (capabilities(7), "Effect of user ID changes").
    pub(super) fn follow(&mut self, before: Ids, after: Ids) {
        if before.has(0) && !after.has(0) {
            self.has_kept = self.keeps;
        }
    }
}

/// The four ids of a kind that a process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) real: u32,
    pub(super) effective: u32,
    pub(super) saved: u32,
    /// The one that owns new files: follows the effective one unless it is set apart.
    pub(super) file: u32,
}

impl Identity {
    /// Makes the identity of a program that starts as `uid` and `gid` with these further groups.
    pub fn new(uid: u32, gid: u32, groups: &[u32]) -> Self {
        let mut identity = Self {
            user: Ids::all(uid),
            group: Ids::all(gid),
            groups: Arc::from([]),
            capabilities: Capabilities::default(),
        };
        identity.set_groups(groups.to_vec());
        identity
    }

    /// Says whether it may change its ids at will.
    pub(super) fn is_privileged(&self) -> bool {
        self.user.effective == 0 || self.capabilities.has_kept
    }

    /// Says whether it may do to files what only root may.
    pub(super) fn is_root_for_files(&self) -> bool {
        self.user.file == 0
    }

    /// Says whether it is a member of `gid` where files are concerned.
    pub(super) fn is_in_group(&self, gid: u32) -> bool {
        self.group.file == gid || self.groups.binary_search(&gid).is_ok()
    }

    pub(super) fn set_groups(&mut self, mut groups: Vec<u32>) {
        groups.sort_unstable();
        self.groups = groups.into();
    }

    /// Returns what becomes of it when it executes a program that is set-id to `user` and `group`;
    /// [`LEAVE`] for one that is not.
    pub(super) fn after_execution(&self, user: u32, group: u32) -> Self {
        let mut after = self.clone();
        after.capabilities = Capabilities::default();
        after.user.start_program(user);
        after.group.start_program(group);
        after
    }
}

impl Ids {
    pub(super) fn all(id: u32) -> Self {
        Self {
            real: id,
            effective: id,
            saved: id,
            file: id,
        }
    }

    /// `setuid`, `setgid`.
    pub(super) fn set(&mut self, id: u32, is_privileged: bool) -> Result<(), Errno> {
        if id == LEAVE {
            return Err(Errno::INVAL);
        }
        if is_privileged {
            *self = Self::all(id);
        } else if id == self.real || id == self.saved {
            self.effective = id;
            self.file = id;
        } else {
            return Err(Errno::PERM);
        }
        Ok(())
    }

    /// `setreuid`, `setregid`.
    pub(super) fn set_two(
        &mut self,
        real: u32,
        effective: u32,
        is_privileged: bool,
    ) -> Result<(), Errno> {
        let before = *self;
        let may_be_real = [LEAVE, before.real, before.effective].contains(&real);
        let may_be_effective = effective == LEAVE || before.has(effective);
        if !(is_privileged || may_be_real && may_be_effective) {
            return Err(Errno::PERM);
        }
        if real != LEAVE {
            self.real = real;
        }
        if effective != LEAVE {
            self.effective = effective;
        }
        if real != LEAVE || effective != LEAVE && effective != before.real {
            self.saved = self.effective;
        }
        self.file = self.effective;
        Ok(())
    }

    /// `setresuid`, `setresgid`.
    pub(super) fn set_three(
        &mut self,
        real: u32,
        effective: u32,
        saved: u32,
        is_privileged: bool,
    ) -> Result<(), Errno> {
        let is_allowed = |id: &u32| *id == LEAVE || self.has(*id);
        if !is_privileged && ![real, effective, saved].iter().all(is_allowed) {
            return Err(Errno::PERM);
        }
        let or = |new: u32, old: u32| if new == LEAVE { old } else { new };
        self.real = or(real, self.real);
        self.effective = or(effective, self.effective);
        self.saved = or(saved, self.saved);
        self.file = self.effective;
        Ok(())
    }

    /// `setfsuid`, `setfsgid`: returns what it was before, whether it was changed or not.
    pub(super) fn set_file(&mut self, id: u32, is_privileged: bool) -> u32 {
        let before = self.file;
        if id != LEAVE && (is_privileged || id == before || self.has(id)) {
            self.file = id;
        }
        before
    }

    fn has(&self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }

    fn start_program(&mut self, owner: u32) {
        if owner != LEAVE {
            self.effective = owner;
        }
        self.saved = self.effective;
        self.file = self.effective;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(real: u32, effective: u32, saved: u32) -> Ids {
        Ids {
            real,
            effective,
            saved,
            file: effective,
        }
    }

    #[test]
    fn root_changes_all_ids_for_good_and_others_go_back_to_what_they_were() {
        let mut root = Ids::all(0);
        root.set(7, true).unwrap();
        assert_eq!(root, Ids::all(7));
        assert_eq!(root.set(0, false), Err(Errno::PERM));
        let mut in_between = ids(7, 0, 0);
        in_between.set(7, false).unwrap();
        assert_eq!(in_between, ids(7, 7, 0));
        in_between.set(0, false).unwrap();
        assert_eq!(in_between, ids(7, 0, 0));
        assert_eq!(root.set(LEAVE, true), Err(Errno::INVAL));
    }

    #[test]
    fn two_ids_can_be_swapped_and_the_saved_one_follows() {
        let mut swapped = ids(7, 0, 0);
        swapped.set_two(0, 7, false).unwrap();
        assert_eq!(swapped, ids(0, 7, 7));
        let mut only_effective = ids(7, 8, 9);
        only_effective.set_two(LEAVE, 7, false).unwrap();
        assert_eq!(only_effective, ids(7, 7, 9));
        assert_eq!(only_effective.set_two(9, LEAVE, false), Err(Errno::PERM));
        assert_eq!(only_effective, ids(7, 7, 9));
    }

    #[test]
    fn three_ids_come_from_the_three_or_from_root() {
        let mut some = ids(1, 2, 3);
        some.set_three(3, 1, LEAVE, false).unwrap();
        assert_eq!(some, ids(3, 1, 3));
        assert_eq!(some.set_three(LEAVE, LEAVE, 4, false), Err(Errno::PERM));
        some.set_three(4, LEAVE, 5, true).unwrap();
        assert_eq!(some, ids(4, 1, 5));
    }

    #[test]
    fn what_threads_repeat_one_after_the_other_has_the_effect_of_one() {
        // The C library has every thread of a process make the same call; the ids are the process's.
        for [a, b, c] in [[7, 7, 7], [7, 0, LEAVE], [LEAVE, 7, LEAVE], [LEAVE, 7, 0]] {
            let mut once = Ids::all(0);
            once.set_three(a, b, c, true).unwrap();
            let mut twice = once;
            twice.set_three(a, b, c, twice.effective == 0).unwrap();
            assert_eq!(once, twice);
        }
        let mut once = ids(0, 7, 7);
        once.set_two(7, 0, false).unwrap();
        let mut twice = once;
        twice.set_two(7, 0, true).unwrap();
        assert_eq!(once, twice);
    }

    #[test]
    fn who_asks_to_keep_its_rights_may_change_groups_after_users_until_a_program_starts() {
        let become_user = |keeps: bool| {
            let mut who = Identity::new(0, 0, &[]);
            who.capabilities.keep(keeps);
            let before = who.user;
            who.user.set_three(7, 7, 7, true).unwrap();
            who.capabilities.follow(before, who.user);
            who
        };
        assert!(!become_user(false).is_privileged());
        let keeper = become_user(true);
        assert!(keeper.is_privileged() && !keeper.is_root_for_files());
        let program = keeper.after_execution(LEAVE, LEAVE);
        assert!(!program.is_privileged());
    }

    #[test]
    fn the_id_for_files_is_set_apart_until_the_effective_one_is_set() {
        let mut some = ids(0, 0, 0);
        assert_eq!(some.set_file(7, true), 0);
        assert_eq!(some.set_file(8, false), 7);
        assert_eq!(some.file, 7);
        some.set_three(LEAVE, 0, LEAVE, false).unwrap();
        assert_eq!(some.file, 0);
    }

    #[test]
    fn a_set_id_program_gives_its_owner_and_any_program_saves_what_is_effective() {
        let app = Identity::new(1000, 1000, &[44, 7]);
        let sudo = app.after_execution(0, LEAVE);
        assert_eq!(sudo.user, ids(1000, 0, 0));
        assert_eq!(sudo.group, Ids::all(1000));
        assert!(sudo.is_privileged() && sudo.is_in_group(7) && !sudo.is_in_group(8));
        let mut dropped = sudo.clone();
        dropped.user.set_three(LEAVE, 1000, LEAVE, false).unwrap();
        let shell = dropped.after_execution(LEAVE, LEAVE);
        assert_eq!(shell.user, Ids::all(1000));
    }
}
