//! Where the kernel keeps this process's arguments and environment.
//!
//! `/proc/<pid>/cmdline` is readable by everybody who sees the process. The first process of a step
//! is a fork of this one, seen by the step: it overwrites its copy.

use rustix::io::Errno;

/// The memory that holds the arguments and the environment this process was started with.
#[derive(Debug, Clone, Copy)]
pub struct ArgumentArea {
    arguments: (usize, usize),
    environment: (usize, usize),
}

impl ArgumentArea {
    /// Asks the kernel. `None` where it does not say.
    pub fn find() -> Option<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The second field is the command in parentheses and may hold anything: count after it.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // proc_pid_stat(5): arg_start, arg_end, env_start, env_end are fields 48 to 51; the first
        // one here is field 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<usize>().ok();
        let area = Self {
            arguments: (field(48)?, field(49)?),
            environment: (field(50)?, field(51)?),
        };
        let is_sound = |(start, end): (usize, usize)| start != 0 && start <= end;
        (is_sound(area.arguments) && is_sound(area.environment)).then_some(area)
    }

    /// Overwrites both with zeros.
    ///
    /// # Safety
    ///
    /// The caller runs in a forked child that reads neither its arguments nor its environment, and
    /// the area was found in the process it was forked from.
    pub(super) unsafe fn erase(self) {
        for (start, end) in [self.arguments, self.environment] {
            // SAFETY: the kernel named this range as the process's own writable stack memory, a
            // fork has a private copy of it, and by this function's contract nobody reads it.
            unsafe { std::ptr::write_bytes(start as *mut u8, 0, end - start) };
        }
    }
}

/// Gives the running process a name for `ps`, at most 15 bytes.
pub(super) fn set_process_name(name: &std::ffi::CStr) -> Result<(), Errno> {
    rustix::thread::set_name(name)
}
