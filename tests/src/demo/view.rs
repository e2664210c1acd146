//! The live view: drawn in place on a terminal, plain lines elsewhere.
//!
//! Owns: what is on the screen. Errors of the terminal are passed over: the job goes on without
//! anybody looking.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use super::scene::{Scene, Stage};
use super::summary::time;

/// Between two lines that say the same stage goes on, where there is no terminal.
const PLAIN_PAUSE: Duration = Duration::from_secs(10);
/// Moves that are shown.
const MOVES_SHOWN: usize = 4;

/// What was shown last.
pub struct View {
    terminal: bool,
    began: Instant,
    stage: Option<(Stage, Instant)>,
    said: Instant,
    lines: usize,
}

impl Default for View {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            terminal: io::stdout().is_terminal(),
            began: now,
            stage: None,
            said: now,
            lines: 0,
        }
    }
}

impl View {
    /// Shows the moment.
    pub fn show(&mut self, scene: &Scene) {
        let is_new = self.stage.is_none_or(|(stage, _)| stage != scene.stage);
        if is_new {
            self.stage = Some((scene.stage, Instant::now()));
        }
        if self.terminal {
            self.draw(scene);
        } else if is_new || self.said.elapsed() >= PLAIN_PAUSE {
            self.said = Instant::now();
            say(&format!("{}\n", self.line(scene)));
        }
    }

    /// Leaves what is on the screen, and goes below it.
    pub fn end(&mut self) {
        self.lines = 0;
        say("\n");
    }

    fn draw(&mut self, scene: &Scene) {
        let picture = self.picture(scene);
        // Up to the first line of the picture before, and everything below it cleared (ECMA-48,
        // CPL and ED).
        let up = if self.lines > 0 {
            format!("\x1b[{}F\x1b[0J", self.lines)
        } else {
            String::new()
        };
        self.lines = picture.lines().count();
        say(&(up + &picture));
    }

    /// One line for all.
    fn line(&self, scene: &Scene) -> String {
        let mut line = format!("[{:>4} s] ", self.began.elapsed().as_secs());
        let _ = write!(line, "{}", scene.stage.title());
        if !scene.detail.is_empty() {
            let _ = write!(line, " ({})", scene.detail);
        }
        let _ = write!(line, "{}", rates(scene));
        if scene.moves.done + scene.moves.live > 0 {
            let _ = write!(
                line,
                "; {} moves done, {} under way",
                scene.moves.done, scene.moves.live
            );
        }
        line
    }

    fn picture(&self, scene: &Scene) -> String {
        let mut text = String::new();
        let whole = self.began.elapsed().as_secs();
        let _ = writeln!(text, "tierd at its main job, {whole} s");
        for stage in Stage::ALL {
            let _ = match stage.cmp(&scene.stage) {
                std::cmp::Ordering::Less => writeln!(text, "  ✓ {}", stage.title()),
                std::cmp::Ordering::Greater => writeln!(text, "    {}", stage.title()),
                std::cmp::Ordering::Equal => {
                    let since = self.stage.map_or(0, |(_, at)| at.elapsed().as_secs());
                    writeln!(text, "  ▸ {}, {since} s  {}", stage.title(), scene.detail)
                }
            };
        }
        if scene.reads.is_some() {
            let _ = writeln!(text, "\n{}", rates(scene).trim_start_matches("; "));
            tiers(&mut text, scene);
            let moves = &scene.moves;
            let (done, mib) = (moves.done, moves.done_bytes >> 20);
            let _ = writeln!(
                text,
                "\nMoves: {done} done ({mib} MiB), {} under way, {} pending",
                moves.live, moves.pending
            );
            for one in scene.moving.iter().take(MOVES_SHOWN) {
                let _ = writeln!(text, "{one}");
            }
            let _ = writeln!(text, "\n{}", scene.heat);
        }
        text
    }
}

fn rates(scene: &Scene) -> String {
    let Some(reads) = &scene.reads else {
        return String::new();
    };
    #[allow(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    let rate = reads.count as f64 / scene.seconds.max(f64::EPSILON);
    let mut text = format!(
        "; {rate:.0} reads/s, median {}, 99th percentile {}; served by",
        time(reads.p50_seconds),
        time(reads.p99_seconds)
    );
    for (class, share) in &scene.served {
        let _ = write!(text, " {class} {:.0} %", share * 100.0);
    }
    text
}

fn tiers(text: &mut String, scene: &Scene) {
    /// Width of a full bar.
    const COLUMNS: usize = 40;
    for tier in &scene.tiers {
        let share = scene.served.get(&tier.class).copied().unwrap_or(0.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a small number"
        )]
        let full = (share.clamp(0.0, 1.0) * COLUMNS as f64).round() as usize;
        let _ = writeln!(
            text,
            "  {:4} {}{} {:>3.0} % of reads, {:>4} of {:>4} MiB used",
            tier.class,
            "█".repeat(full),
            "·".repeat(COLUMNS - full),
            share * 100.0,
            tier.used_bytes >> 20,
            tier.capacity_bytes >> 20
        );
    }
}

/// Writes to the terminal at once.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
