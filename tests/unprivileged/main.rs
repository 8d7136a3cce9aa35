//! Trees made by users whom the kernel lets make neither owners nor devices: the layers of what they say of themselves
//! have the same digests as root's of real files.
//!
//! The usual harness has threads and runs as root. This one starts itself again as each user: `main` is the runner, or
//! the user that the environment names.

mod runner;
mod work;

use std::path::PathBuf;

fn main() {
    match std::env::var(runner::USER_VARIABLE) {
        Ok(user) => {
            let dir = PathBuf::from(std::env::var_os(runner::DIR_VARIABLE).expect("a directory"));
            runner::user_of(&user).check();
            let digests = work::digests(&dir, runner::user_of(&user).rights);
            println!("{}", digests.join("\n"));
        }
        Err(_) => runner::run_all(),
    }
}
