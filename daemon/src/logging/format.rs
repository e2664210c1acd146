//! Lines for journald: a priority, then the text.
//!
//! Owns: [`PriorityFormat`].

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Compact, Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Compact lines without time and level, which journald adds, behind a priority that it reads off
/// (`SD_WARNING` and its like, sd-daemon(3)).
pub(super) struct PriorityFormat {
    line: Format<Compact, ()>,
}

impl Default for PriorityFormat {
    fn default() -> Self {
        let line = tracing_subscriber::fmt::format()
            .without_time()
            .with_level(false)
            .compact();
        Self { line }
    }
}

impl<S, N> FormatEvent<S, N> for PriorityFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(priority(*event.metadata().level()))?;
        self.line.format_event(context, writer, event)
    }
}

/// The syslog priority, as sd-daemon(3) writes it.
pub(super) fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}
