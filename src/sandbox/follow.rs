//! Passing a step's output on while it runs, and ending it when somebody asks for that.

use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::sys::{Errno, Running};

use super::command::Stream;
use super::run::RunError;
use super::stop::Stop;

/// A pipe holds 64 KiB: more never comes at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// What is read after the end at most: a pipe's largest size, so that somebody outside who was
/// handed the pipe cannot keep us.
const REST_BYTES_MAX: usize = 1024 * 1024;

/// Passes output on until the step has ended. Says whether it was asked to stop.
pub(super) fn follow(
    running: &Running,
    stop: &Stop,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<bool, RunError> {
    let mut sources = vec![
        (Stream::Stdout, running.stdout()),
        (Stream::Stderr, running.stderr()),
    ];
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut kill_at = None;
    loop {
        let end = running.end();
        let mut fds = vec![PollFd::new(&end, PollFlags::IN)];
        fds.extend(
            sources
                .iter()
                .map(|(_, file)| PollFd::new(file, PollFlags::IN)),
        );
        let event = stop.event();
        if kill_at.is_none() {
            fds.push(PollFd::new(&event, PollFlags::IN));
        }
        match rustix::event::poll(&mut fds, time_until(kill_at).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(RunError::Wait(errno.into())),
        }
        let is_ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let (has_ended, ready) = is_ready.split_first().unwrap_or((&true, &[]));
        if *has_ended {
            for (stream, file) in &sources {
                pass_rest(file, *stream, &mut buffer, output)?;
            }
            return Ok(kill_at.is_some());
        }
        let is_stopping = kill_at.is_none() && ready.get(sources.len()) == Some(&true);
        let mut ready = ready.iter();
        let mut failure = None;
        sources.retain(|(stream, file)| {
            if ready.next() != Some(&true) {
                return true;
            }
            match pass_on(file, *stream, &mut buffer, output) {
                Ok(Piece::Some(_) | Piece::NotYet) => true,
                Ok(Piece::End) => false,
                Err(error) => {
                    failure = Some(error);
                    false
                }
            }
        });
        if let Some(error) = failure {
            return Err(RunError::Wait(error));
        }
        if is_stopping {
            tracing::debug!("stopping the step");
            running
                .terminate()
                .map_err(|errno| RunError::Wait(errno.into()))?;
            kill_at = Some(Instant::now() + stop.grace());
        }
        if kill_at.is_some_and(|at| at <= Instant::now()) {
            running
                .kill()
                .map_err(|errno| RunError::Wait(errno.into()))?;
        }
    }
}

/// Returns how long to wait at most; `None` for ever.
fn time_until(at: Option<Instant>) -> Option<Timespec> {
    // After the kill the end is near: there is no need to look all the time.
    const SHORTEST: Duration = Duration::from_millis(10);
    let left = at?.saturating_duration_since(Instant::now()).max(SHORTEST);
    Timespec::try_from(left).ok()
}

/// What one look at a pipe found.
enum Piece {
    Some(usize),
    NotYet,
    End,
}

fn pass_on(
    mut file: &File,
    stream: Stream,
    buffer: &mut [u8],
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Piece, io::Error> {
    match file.read(buffer) {
        Ok(0) => Ok(Piece::End),
        Ok(length) => {
            output(stream, &buffer[..length]);
            Ok(Piece::Some(length))
        }
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Piece::NotYet),
            _ => Err(error),
        },
    }
}

/// Passes on what is left in a pipe whose writers are all dead.
fn pass_rest(
    file: &File,
    stream: Stream,
    buffer: &mut [u8],
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<(), RunError> {
    let mut passed = 0;
    while passed < REST_BYTES_MAX {
        match pass_on(file, stream, buffer, output).map_err(RunError::Wait)? {
            Piece::Some(length) => passed += length,
            Piece::NotYet | Piece::End => break,
        }
    }
    Ok(())
}
