//! Progress as plain lines on standard error, and what RUN prints, as it comes.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::build::{Event, OutputStream, Progress};

use super::flags::{LogFlags, LogFormat, Verbosity};

/// How log lines look, and which are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogStyle {
    format: LogFormat,
    verbosity: Verbosity,
    with_time: bool,
    with_color: bool,
    start: Instant,
}

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// The build cannot go on.
    Error,
    /// Something may not be what the user wants.
    Warning,
    /// Ordinary progress.
    Info,
}

impl LogStyle {
    /// Takes the style from the flags; colours only where they are wanted and somebody looks.
    pub(super) fn new(flags: &LogFlags, is_terminal: bool) -> Self {
        Self {
            format: flags.log_format,
            verbosity: flags.verbosity,
            with_time: flags.log_timestamp,
            with_color: is_terminal && flags.log_format == LogFormat::Color,
            start: Instant::now(),
        }
    }

    /// Returns the least severe level of `tracing` events to show.
    pub(super) fn tracing_level(self) -> tracing::level_filters::LevelFilter {
        use tracing::level_filters::LevelFilter;
        match self.verbosity {
            Verbosity::Panic | Verbosity::Fatal => LevelFilter::OFF,
            Verbosity::Error => LevelFilter::ERROR,
            Verbosity::Warn | Verbosity::Info => LevelFilter::WARN,
            Verbosity::Debug => LevelFilter::DEBUG,
            Verbosity::Trace => LevelFilter::TRACE,
        }
    }

    /// Writes one line to standard error.
    pub(super) fn print(self, level: Level, text: &str) {
        let least = match level {
            Level::Error => Verbosity::Panic,
            Level::Warning => Verbosity::Warn,
            Level::Info => Verbosity::Info,
        };
        if self.verbosity < least {
            return;
        }
        let line = self.line(level, text);
        // A closed standard error must not end the build.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn line(self, level: Level, text: &str) -> String {
        let seconds = self.start.elapsed().as_secs_f64();
        if self.format == LogFormat::Json {
            let level = match level {
                Level::Error => "error",
                Level::Warning => "warning",
                Level::Info => "info",
            };
            let mut line = serde_json::json!({ "level": level, "msg": text });
            if self.with_time {
                line["seconds"] = serde_json::json!(seconds);
            }
            return format!("{line}\n");
        }
        let time = if self.with_time {
            format!("{seconds:8.3} ")
        } else {
            String::new()
        };
        let (on, off) = match level {
            Level::Error if self.with_color => ("\x1b[31m", "\x1b[0m"),
            Level::Warning if self.with_color => ("\x1b[33m", "\x1b[0m"),
            Level::Error | Level::Warning | Level::Info => ("", ""),
        };
        format!("{time}{on}{text}{off}\n")
    }
}

/// Makes the receiver of a build's events. Where standard output is taken by something else, what steps print there
/// goes to standard error.
pub(super) fn printer(style: LogStyle, stdout_is_taken: bool) -> Progress {
    // One event at a time: the lines of parallel stages must not be torn apart.
    let turn = Mutex::new(());
    Arc::new(move |event| {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Output {
                stream: OutputStream::Stdout,
                bytes,
                ..
            } if stdout_is_taken => pass_on(OutputStream::Stderr, bytes),
            event => show(style, &event),
        }
    })
}

fn show(style: LogStyle, event: &Event<'_>) {
    match event {
        Event::Started { step, text } => style.print(Level::Info, &format!("{step} {text}")),
        Event::Cached { step, text } => {
            style.print(Level::Info, &format!("{step} CACHED {text}"));
        }
        Event::Output { stream, bytes, .. } => pass_on(*stream, bytes),
        Event::Done { step, duration } => {
            let text = format!("{step} done in {}", show_duration(*duration));
            style.print(Level::Info, &text);
        }
        Event::Layer {
            step,
            digest,
            size,
            entries,
        } => {
            let size = show_bytes(*size);
            let noun = if *entries == 1 { "entry" } else { "entries" };
            let text = format!("{step} layer {digest}: {size}, {entries} {noun}");
            style.print(Level::Info, &text);
        }
        Event::Unpacked {
            image,
            digest,
            size,
            duration,
        } => {
            let (size, time) = (show_bytes(*size), show_duration(*duration));
            let text = format!("{image}: unpacked {digest} ({size}) in {time}");
            style.print(Level::Info, &text);
        }
        Event::Note(text) => style.print(Level::Info, text),
        Event::Warning(text) => style.print(Level::Warning, &format!("warning: {text}")),
    }
}

/// Hands on what a command wrote, to the same stream, byte for byte.
fn pass_on(stream: OutputStream, bytes: &[u8]) {
    let written = match stream {
        OutputStream::Stdout => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        }
        OutputStream::Stderr => std::io::stderr().lock().write_all(bytes),
    };
    // A closed standard output must not end the build.
    drop(written);
}

/// Returns `duration` in seconds with as many digits as say something.
fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 9.95 {
        format!("{seconds:.2} s")
    } else {
        format!("{seconds:.0} s")
    }
}

/// Returns a size in the largest decimal unit that leaves a number of at least 1.
pub(super) fn show_bytes(bytes: u64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let exact = bytes as f64;
    for (unit, factor) in units {
        if exact >= factor {
            return format!("{:.1} {unit}", exact / factor);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(show_bytes(0), "0 B");
        assert_eq!(show_bytes(999), "999 B");
        assert_eq!(show_bytes(35_100_000), "35.1 MB");
        assert_eq!(show_duration(Duration::from_millis(3210)), "3.21 s");
        assert_eq!(show_duration(Duration::from_secs(75)), "75 s");
    }
}
