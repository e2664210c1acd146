use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;

/// A writer whose content can be looked at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: Format, filter: EnvFilter, log: impl FnOnce()) -> String {
    let shared = Shared::default();
    let (writer, worker) = queue(shared.clone());
    tracing::subscriber::with_default(subscriber(writer, format, filter), log);
    // Waits until everything queued is written.
    drop(worker);
    String::from_utf8(shared.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn the_journal_gets_priorities_and_no_time() {
    let text = logged(Format::Journal, EnvFilter::new("trace"), || {
        tracing::warn!(member = "/dev/sdb", "leg failed");
        tracing::info!("resumed");
        tracing::error!("gone");
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[0].starts_with("<4>") && lines[0].contains("leg failed"),
        "{text}"
    );
    assert!(lines[0].contains("member=\"/dev/sdb\""), "{text}");
    assert!(
        !lines[0].contains("WARN") && !lines[0].contains("20"),
        "{text}"
    );
    assert!(
        lines[1].starts_with("<6>") && lines[2].starts_with("<3>"),
        "{text}"
    );
}

#[test]
fn json_lines_are_objects_with_their_fields() {
    let text = logged(Format::Json, EnvFilter::new("info"), || {
        tracing::info!(moves = 3, "planned");
    });
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["moves"], 3);
    assert_eq!(line["message"], "planned");
}

#[test]
fn text_lines_name_level_and_field() {
    let text = logged(Format::Text, EnvFilter::new("info"), || {
        tracing::warn!(id = 7, "slow");
    });
    assert!(
        text.contains("WARN") && text.contains("slow") && text.contains("id=7"),
        "{text}"
    );
}

#[test]
fn the_command_line_wins_over_the_variable_which_wins_over_the_file() {
    let both = |cli, variable, configured| {
        let filter = filter(cli, variable, configured).unwrap();
        logged(Format::Text, filter, || {
            tracing::debug!("fine");
            tracing::info!("coarse");
        })
    };
    assert!(both(Some(Level::Debug), Some("warn"), Level::Error).contains("fine"));
    assert!(both(None, Some("debug"), Level::Error).contains("fine"));
    let configured = both(None, Some(" "), Level::Info);
    assert!(
        configured.contains("coarse") && !configured.contains("fine"),
        "{configured}"
    );
}

#[test]
fn noisy_libraries_are_quiet_unless_asked_for() {
    let noise = |variable| {
        let filter = filter(None, variable, Level::Info).unwrap();
        logged(Format::Text, filter, || {
            tracing::info!(target: "ort::logging", "chatter");
            tracing::warn!(target: "ort::logging", "trouble");
        })
    };
    let quiet = noise(None);
    assert!(
        quiet.contains("trouble") && !quiet.contains("chatter"),
        "{quiet}"
    );
    assert!(noise(Some("info,ort=info")).contains("chatter"));
}

#[test]
fn a_filter_without_sense_is_refused() {
    let error = filter(None, Some("tierd=loud"), Level::Info).unwrap_err();
    assert!(error.to_string().contains("tierd=loud"));
}

#[test]
fn the_journal_is_recognised_by_device_and_inode() {
    let (reader, writer) = io::pipe().unwrap();
    let stat = nix::sys::stat::fstat(writer.as_fd()).unwrap();
    let own = format!("{}:{}", stat.st_dev, stat.st_ino);
    assert!(leads_to_journal(&writer, Some(own.as_ref())));
    // Inherited from a parent, and standard error redirected since.
    assert!(!leads_to_journal(&writer, Some("1:2".as_ref())));
    assert!(!leads_to_journal(&writer, Some("nonsense".as_ref())));
    assert!(!leads_to_journal(&writer, None));
    drop(reader);
}

#[test]
fn a_reader_that_stands_still_never_makes_the_logger_wait() {
    // A pipe that nobody reads holds 64 KiB; the queue some thousand lines; this is more than both.
    let (mut reader, pipe) = io::pipe().unwrap();
    let (writer, worker) = queue(pipe);
    let dropped = writer.error_counter();
    let begun = Instant::now();
    let lines = subscriber(writer, Format::Text, EnvFilter::new("info"));
    tracing::subscriber::with_default(lines, || {
        for line in 0..3 * QUEUE_LINES {
            tracing::info!(
                line,
                "a line long enough that a pipe cannot hold very many of them"
            );
        }
    });
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        dropped.dropped_lines() > QUEUE_LINES,
        "{}",
        dropped.dropped_lines()
    );
    // Let the writing thread go, so that the guard need not wait for it.
    let drain = std::thread::spawn(move || io::copy(&mut reader.by_ref(), &mut io::sink()));
    drop(worker);
    drop(drain);
}
