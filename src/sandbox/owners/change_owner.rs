//! Answers `chown`, `lchown`, `fchown` and `fchownat`.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::fs::Inode;
use crate::sys::{Notification, Reply};

use super::decide::At;
use super::identity::{Identity, LEAVE};
use super::supervisor::Supervisor;
use super::trouble::{OurTrouble, Trouble};

impl Supervisor {
    pub(super) fn change_owner(
        &self,
        call: &Notification,
        at: At,
        uid: u32,
        gid: u32,
    ) -> Result<Reply, Trouble> {
        let known = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
        if !known.contains(at.flags) {
            return Err(Trouble::Kernel(Errno::INVAL));
        }
        let file = self.hold(call, at)?;
        let identity = self.identity(call)?;
        self.check(call)?;
        let inode = Inode::of(&file).ours("look at a file")?;
        let owner = self.ledger.owner(&inode);
        if !may_change_owner(&identity, owner, uid, gid) {
            return Err(Trouble::Kernel(Errno::PERM));
        }
        // To itself: the kernel sets the change time, and clears set-id bits and capabilities.
        match rustix::fs::chownat(&file, c"", None, None, AtFlags::EMPTY_PATH) {
            Ok(()) => {}
            // A device or a terminal of the machine: not in the tree, its owner is nobody's concern.
            Err(Errno::PERM | Errno::OVERFLOW | Errno::INVAL) => {}
            Err(errno) => return Err(Trouble::Kernel(errno)),
        }
        let id = |id: u32| (id != LEAVE).then_some(id);
        // One that is only recorded goes as one of the kernel's does.
        self.ledger
            .remove_xattr(&inode, OsStr::new("security.capability"));
        self.ledger.set_owner(&inode, id(uid), id(gid));
        Ok(Reply::Value(0))
    }

    fn hold(&self, call: &Notification, at: At) -> Result<OwnedFd, Trouble> {
        let place = self.place(call, at)?;
        place.hold(at.follows()).map_err(|errno| match errno {
            Errno::NOENT if at.path == 0 => Trouble::Kernel(Errno::BADF),
            errno => Trouble::Kernel(errno),
        })
    }
}

/// chown(2): root may do anything; the owner may give a file to another group that they are in.
fn may_change_owner(identity: &Identity, owner: (u32, u32), uid: u32, gid: u32) -> bool {
    if identity.is_root_for_files() {
        return true;
    }
    let is_owner = identity.user.file == owner.0;
    let keeps_user = uid == LEAVE || is_owner && uid == owner.0;
    let keeps_group = gid == LEAVE || is_owner && (gid == owner.1 || identity.is_in_group(gid));
    keeps_user && keeps_group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_gives_files_away() {
        let app = Identity::new(1000, 1000, &[44]);
        let own = (1000, 1000);
        let may = |owner, uid, gid| may_change_owner(&app, owner, uid, gid);
        assert!(may(own, 1000, 44) && may(own, LEAVE, 1000) && may((0, 0), LEAVE, LEAVE));
        assert!(!may(own, 0, LEAVE) && !may(own, LEAVE, 45) && !may((0, 0), LEAVE, 44));
        let root = Identity::new(0, 0, &[]);
        assert!(may_change_owner(&root, own, 7, 8));
    }
}
