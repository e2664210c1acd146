//! What systemd is told: ready, status, alive, stopping.
//!
//! Owns: [`Notifier`], [`Heartbeat`] and the thread behind them. Invariants: the run loop never
//! waits for systemd (PID 1 may itself wait on a volume whose writes are parked), so messages go
//! through a small queue to a thread; and the watchdog is fed only while the run loop beats, so
//! that a loop which hangs is restarted although this thread lives. Without `NOTIFY_SOCKET`
//! everything here does nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Messages that wait for the thread at most. Readiness comes first, statuses may be dropped.
const QUEUE_MESSAGES: usize = 64;

/// How often the thread looks whether a watchdog is due, where there is none.
const IDLE: Duration = Duration::from_hours(1);

/// The pulse of the run loop. Clones share one pulse.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// To be called on every turn of the run loop, which is to turn several times in half of
    /// `WatchdogSec=`.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Tells systemd how the daemon is. Dropping it says nothing: the end of a process speaks for
/// itself.
#[derive(Clone, Debug)]
pub struct Notifier {
    queue: SyncSender<Message>,
}

#[derive(Debug)]
enum Message {
    Ready,
    Stopping,
    Status(String),
}

/// Where messages go; production sends them to systemd.
type Send = dyn FnMut(&[NotifyState<'_>]) -> io::Result<()> + std::marker::Send;

impl Notifier {
    /// Starts the thread. The watchdog's interval comes from `WATCHDOG_USEC` and `WATCHDOG_PID`
    /// (`sd_watchdog_enabled(3)`); it is fed while `heartbeat` beats.
    pub fn start(heartbeat: Heartbeat) -> io::Result<Self> {
        Self::start_with(
            heartbeat,
            sd_notify::watchdog_enabled(),
            Box::new(sd_notify::notify),
        )
    }

    fn start_with(
        heartbeat: Heartbeat,
        watchdog: Option<Duration>,
        mut send: Box<Send>,
    ) -> io::Result<Self> {
        let (queue, messages) = sync_channel(QUEUE_MESSAGES);
        thread::Builder::new()
            .name("tierd-notify".to_owned())
            .spawn(move || serve(&messages, &heartbeat, watchdog, &mut *send))?;
        Ok(Self { queue })
    }

    /// Volumes are up and the control socket answers.
    pub fn ready(&self) {
        self.send(Message::Ready);
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: impl Into<String>) {
        self.send(Message::Status(text.into()));
    }

    /// The daemon is about to end; volumes go on.
    pub fn stopping(&self) {
        self.send(Message::Stopping);
    }

    fn send(&self, message: Message) {
        // A full queue means that systemd does not listen, and then there is nobody to tell.
        let _ = self.queue.try_send(message);
    }
}

/// The thread: passes messages on as they come, and looks at the heartbeat each half interval.
fn serve(
    messages: &Receiver<Message>,
    heartbeat: &Heartbeat,
    watchdog: Option<Duration>,
    send: &mut Send,
) {
    // Half, as sd_watchdog_enabled(3) advises.
    let interval = watchdog.map_or(IDLE, |interval| interval / 2);
    let mut due = Instant::now() + interval;
    let mut seen = heartbeat.count();
    loop {
        match messages.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(message) => tell(&message, send),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let count = heartbeat.count();
                if watchdog.is_some() && count == seen {
                    tracing::error!(
                        seconds = interval.as_secs_f64(),
                        "the run loop has not turned; the watchdog is not fed"
                    );
                } else if watchdog.is_some() {
                    pass(send, &[NotifyState::Watchdog]);
                }
                seen = count;
                due = Instant::now() + interval;
            }
        }
    }
}

fn tell(message: &Message, send: &mut Send) {
    match message {
        Message::Ready => pass(send, &[NotifyState::Ready]),
        Message::Stopping => pass(send, &[NotifyState::Stopping]),
        Message::Status(text) => pass(send, &[NotifyState::Status(text)]),
    }
}

fn pass(send: &mut Send, state: &[NotifyState<'_>]) {
    if let Err(error) = send(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn recording(heartbeat: Heartbeat, watchdog: Option<Duration>) -> (Notifier, Receiver<String>) {
        let (told, hears) = channel();
        let send = move |states: &[NotifyState<'_>]| {
            for state in states {
                told.send(state.to_string()).map_err(io::Error::other)?;
            }
            Ok(())
        };
        (
            Notifier::start_with(heartbeat, watchdog, Box::new(send)).unwrap(),
            hears,
        )
    }

    #[test]
    fn messages_arrive_in_order() {
        let (notifier, hears) = recording(Heartbeat::default(), None);
        notifier.status("starting");
        notifier.ready();
        notifier.stopping();
        let told: Vec<String> = (0..3).map(|_| hears.recv().unwrap()).collect();
        assert_eq!(told, ["STATUS=starting", "READY=1", "STOPPING=1"]);
    }

    #[test]
    fn the_watchdog_is_fed_while_the_loop_turns_and_not_after() {
        let heartbeat = Heartbeat::default();
        let (_notifier, hears) = recording(heartbeat.clone(), Some(Duration::from_millis(100)));
        // Beats until it has been fed twice, which must come to pass.
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut fed = 0;
        while fed < 2 {
            assert!(Instant::now() < deadline, "never fed");
            heartbeat.beat();
            if let Ok(told) = hears.recv_timeout(Duration::from_millis(5)) {
                assert_eq!(told, "WATCHDOG=1");
                fed += 1;
            }
        }
        // No beat any more: at most one feeding is still owed for beats before.
        let _ = hears.recv_timeout(Duration::from_millis(200));
        assert!(
            hears.recv_timeout(Duration::from_millis(400)).is_err(),
            "fed without a beat"
        );
    }

    #[test]
    fn nobody_listening_stops_nothing() {
        let (notifier, hears) = recording(Heartbeat::default(), None);
        drop(hears);
        for _ in 0..10 * QUEUE_MESSAGES {
            notifier.status("still here");
        }
    }

    #[test]
    fn a_listener_that_hangs_never_makes_the_caller_wait() {
        let (release, held) = channel::<()>();
        let send = move |_: &[NotifyState<'_>]| {
            let _ = held.recv();
            Ok(())
        };
        let notifier = Notifier::start_with(Heartbeat::default(), None, Box::new(send)).unwrap();
        for _ in 0..10 * QUEUE_MESSAGES {
            notifier.status("busy");
        }
        drop(release);
    }
}
