//! Which platforms' programs are executed here: found out by executing one.
//!
//! Nothing else tells. Handlers for foreign programs (binfmt_misc) belong to the kernel, so a container may use those of
//! its node without seeing `/proc/sys/fs/binfmt_misc`; one that was registered without the flag F looks for its emulator
//! inside the image; and whether a 64-bit machine executes 32-bit programs is up to its CPU and kernel. So a tiny program
//! for the platform is executed as a RUN would be, in a root directory that has nothing else.

use anyhow::Result;

use crate::image::Platform;
use crate::sandbox::{Command, Exit, RunError, ShownFile, Step};

use super::files::StageFiles;
use super::tiny_program::program_for;
use super::workshop::Workshop;

/// Where the program appears.
const PLACE: &str = "/program";

/// Says whether programs for at least one of some platforms are executed here. Blocks.
pub(super) fn executes(platforms: &[Platform], workshop: &Workshop) -> Result<bool> {
    let host = Platform::host();
    let is_own =
        |platform: &&Platform| platform.os == host.os && platform.architecture == host.architecture;
    if platforms.iter().any(|platform| is_own(&platform)) {
        return Ok(true);
    }
    let programs = platforms.iter().filter(|platform| platform.os == host.os);
    let mut programs: Vec<Vec<u8>> = programs
        .filter_map(|platform| program_for(&platform.architecture))
        .collect();
    programs.dedup();
    for program in programs {
        if succeeds(program, workshop)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Executes a program that does nothing but end with 0.
fn succeeds(contents: Vec<u8>, workshop: &Workshop) -> Result<bool> {
    let mut command = Command::new([PLACE]);
    command.files.push(ShownFile {
        target: PLACE.into(),
        contents,
        mode: 0o755,
    });
    let stop = workshop.halt.of_commands();
    let run = |step: &mut Step<'_>| step.run(&command, stop, &mut |_, _| {});
    let ended = match workshop.open_layers(&[])? {
        StageFiles::Layers(mut rootfs) => run(&mut Step::Overlay(rootfs.begin_step()?)),
        StageFiles::Tree(mut tree) => {
            let mut ended = Ok(Exit::Code(0).into());
            tree.in_unwatched_step(|step| {
                ended = run(step);
                Ok(())
            })?;
            ended
        }
    };
    match ended {
        Ok(ended) => Ok(ended.exit == Exit::Code(0)),
        Err(
            RunError::WrongFormat(_)
            | RunError::NoInterpreter(_)
            | RunError::NotFound(_)
            | RunError::NotExecutable(_)
            | RunError::Execute { .. },
        ) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
