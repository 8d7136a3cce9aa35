//! What lower rooms have to say (`tracing` events), as lines of the program's log.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level as Severity, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::progress::{Level, LogStyle};

/// Shows events from here on, in `style`.
pub(super) fn start(style: LogStyle) {
    let lines = Lines { style }.with_filter(style.tracing_level());
    // Only a test that calls this twice can fail, and then the first style stays.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

struct Lines {
    style: LogStyle,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let severity = *event.metadata().level();
        // The programs and libraries below us talk about themselves: only of interest on request.
        let is_ours = event
            .metadata()
            .target()
            .starts_with(env!("CARGO_PKG_NAME"));
        if !is_ours && severity > Severity::WARN {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        let (level, prefix) = match severity {
            Severity::ERROR => (Level::Error, "error: "),
            Severity::WARN => (Level::Warning, "warning: "),
            _ => (Level::Info, ""),
        };
        self.style
            .print(level, &format!("{prefix}{}{}", text.message, text.fields));
    }
}

/// An event on one line: its message, then its fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
