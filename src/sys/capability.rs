//! Capabilities: which ones this process has, and giving them up.

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// A set of capabilities, one bit for each as in `capabilities(7)`.
pub type Capabilities = CapabilitySet;

/// Says whether all of `wanted` are effective in the calling thread.
pub fn has_capability(wanted: Capabilities) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}

/// Says whether setuid programs work for this process: false under `no_new_privs`, which Kubernetes
/// sets for `allowPrivilegeEscalation: false`.
pub fn may_gain_privileges() -> bool {
    !rustix::thread::no_new_privs().unwrap_or(false)
}

/// Takes everything but `kept` from the bounding set: no program run later can get it back. Needs no
/// privilege where nothing else is in it, as in a container with few capabilities.
/// Allocates nothing.
pub(super) fn limit_bounding_set(kept: Capabilities) -> Result<(), Errno> {
    for number in 0..64 {
        let capability = Capabilities::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(true) => rustix::thread::remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            // The kernel knows no capability with this number, nor a higher one.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Keeps of the permitted and effective capabilities what is in `kept`; none stay inheritable, so
/// that none stay ambient. Allocates nothing.
pub(super) fn keep_only(kept: Capabilities) -> Result<(), Errno> {
    let permitted = rustix::thread::capabilities(None)?.permitted & kept;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: permitted,
            permitted,
            inheritable: Capabilities::empty(),
        },
    )
}
