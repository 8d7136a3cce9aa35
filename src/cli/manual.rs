//! What is made of the command line's own words: scripts that complete them, and man pages.
//!
//! `deploy/build` has the program write them when it is built: a build script could not, as it would need the flags, which
//! are part of the program.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};

use super::executor::print_line;
use super::flags::{ExecutorFlags, WarmerFlags};

/// Where packages have the scripts below /usr/share, and how a program's is called: what comes before its name and after.
const SCRIPTS: [(Shell, &str, &str, &str); 4] = [
    (Shell::Bash, "bash-completion/completions", "", ""),
    (Shell::Zsh, "zsh/site-functions", "_", ""),
    (Shell::Fish, "fish/vendor_completions.d", "", ".fish"),
    (Shell::PowerShell, "powershell", "", ".ps1"),
];

const MAN_PAGES: &str = "man/man1";

/// Prints the script for a shell that completes the words of the program that `F` describes.
pub(super) fn print_completion<F: CommandFactory>(shell: Shell) -> Result<()> {
    let script = completion(F::command(), shell);
    print_line(String::from_utf8_lossy(&script).trim_end())
}

/// Writes the man pages and scripts of both programs below `share`.
pub(super) fn write_all(share: &Path) -> Result<()> {
    for command in [ExecutorFlags::command(), WarmerFlags::command()] {
        write_man_pages(command.clone(), &share.join(MAN_PAGES))?;
        for (shell, dir, before, after) in SCRIPTS {
            let name = format!("{before}{}{after}", command.get_name());
            let script = completion(command.clone(), shell);
            write(&share.join(dir), &name, &script)?;
        }
    }
    Ok(())
}

fn completion(mut command: Command, shell: Shell) -> Vec<u8> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    script
}

/// Writes a page for the command, and one for each of its commands that help shows.
fn write_man_pages(command: Command, dir: &Path) -> Result<()> {
    let write = || {
        fs::create_dir_all(dir)?;
        clap_mangen::generate_to(command, dir)
    };
    write().with_context(|| format!("cannot write man pages into `{}`", dir.display()))
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = dir.join(name);
    let write = || {
        fs::create_dir_all(dir)?;
        fs::write(&path, bytes)
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}
