//! What the page of figures says of the machine, and how its tables are written.
//!
//! Owns: the heading, and Markdown tables. May not: name the host.

use std::fmt::Write as _;

/// What the figures were measured on.
pub(crate) fn heading() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "Measured on a machine of {processors} processors{}; its load average when this began was \
         {load}. Medians, with the quartiles of the rounds in brackets.\n",
        if is_virtual() { " (virtual)" } else { "" },
    )
}

fn is_virtual() -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.split_ascii_whitespace()
        .any(|word| word == "hypervisor")
}

/// The running kernel, and the load average of the guest's last minute.
pub(crate) fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let kind = if std::path::Path::new("/proc/exitcode").exists() {
        "User-Mode Linux, one processor"
    } else {
        "QEMU, two processors"
    };
    format!("kernel {release} ({kind})")
}

/// A Markdown table under a title.
#[derive(Debug)]
pub(crate) struct Table {
    text: String,
}

impl Table {
    pub(crate) fn new(title: &str, columns: &[&str]) -> Self {
        let mut table = Self {
            text: format!("**{title}**, {}\n\n", kernel()),
        };
        table.row(columns);
        let rule = columns.iter().enumerate().map(|(at, _)| {
            // The first column names things; all others are numbers.
            if at == 0 { "---" } else { "---:" }
        });
        table.row(&rule.collect::<Vec<_>>());
        table
    }

    pub(crate) fn row(&mut self, cells: &[impl AsRef<str>]) {
        let cells: Vec<_> = cells.iter().map(AsRef::as_ref).collect();
        writeln!(self.text, "| {} |", cells.join(" | ")).expect("string");
    }

    /// The table, with a sentence on how it was measured beneath it.
    pub(crate) fn end(mut self, how: &str) -> String {
        write!(self.text, "\n{how}\n").expect("string");
        self.text
    }
}
