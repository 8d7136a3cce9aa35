//! The kernel: the calls that the rest of the program needs and the standard library does not have.
//!
//! This room is mechanism: "mount this there", "start a process in these namespaces". It must not
//! know why: which mounts a step needs and what a sandbox is are said above. It is the only room with
//! `unsafe`; every block says why it is sound. Failures are returned as the kernel's error number;
//! callers add what was tried and on what.
#![allow(unsafe_code)]

mod alone;
mod arguments;
mod capability;
mod errno;
mod init;
mod kernel_stat;
mod launch;
mod mount;
mod namespace;
mod processes;
mod report;
mod seccomp_call;
mod seccomp_filter;
mod seccomp_install;
mod seccomp_listener;
mod seccomp_probe;
mod task;
mod tracee;
mod watch;

pub use alone::{Child, is_single_threaded, start_child};
pub use arguments::ArgumentArea;
pub use capability::{Capabilities, has_capability, may_gain_privileges};
pub use errno::{errno_from, errno_name};
pub use kernel_stat::KernelStat;
pub use launch::{Launch, Namespaces, Program, Running, launch};
pub use mount::{
    change_dir_of_this_thread, change_root, cover_root, make_all_private, mount,
    mount_kernel_files, mount_recursive_bind, pivot_root, unmount,
};
pub use namespace::{
    become_root_of_namespace, become_user, enter_mount_namespace,
    enter_pid_namespace_with_next_child, enter_user_and_mount_namespace, enter_uts_namespace,
    leave_further_groups, separate_working_dir,
};
pub use report::{Report, SetupStep};
pub use rustix::io::Errno;
pub use rustix::mount::MountFlags;
pub use seccomp_call::{Abi, Call};
pub use seccomp_filter::{Filter, Interest};
pub use seccomp_install::Interception;
pub use seccomp_listener::{Arrival, Listener, Notification, Reply};
pub use seccomp_probe::try_interception;
pub use task::{Operation, Task};
pub use tracee::{read_memory, read_string, realtime_limit, set_realtime_limit, write_memory};
