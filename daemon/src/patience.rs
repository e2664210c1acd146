//! Waiting for what may not answer.
//!
//! Owns: [`within`], [`wait_within`] and how long files are waited for. Such work has a thread of
//! its own, which nobody joins: tokio's threads for blocking work keep the runtime from ending.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a start, a stop or a request waits for a file.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Does this in a thread of its own, and waits for it so long at most, without keeping others from
/// working. What comes later is dropped.
///
/// # Errors
/// `TimedOut`; or that there can be no thread, or that it died.
pub(crate) async fn within<T: Send + 'static>(
    patience: Duration,
    thread: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (tell, told) = oneshot::channel();
    begin(thread, move || {
        // Whoever asked may have gone on without.
        let _ = tell.send(work());
    })?;
    match timeout(patience, told).await {
        Ok(told) => told.map_err(|_| died(thread)),
        Err(_) => Err(late(patience)),
    }
}

/// As [`within`], where there is no runtime.
///
/// # Errors
/// As there.
pub(crate) fn wait_within<T: Send + 'static>(
    patience: Duration,
    thread: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (tell, told) = mpsc::channel();
    begin(thread, move || {
        // As there.
        let _ = tell.send(work());
    })?;
    told.recv_timeout(patience).map_err(|error| match error {
        RecvTimeoutError::Timeout => late(patience),
        RecvTimeoutError::Disconnected => died(thread),
    })
}

fn begin(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(drop)
}

fn died(thread: &str) -> io::Error {
    io::Error::other(format!("the thread {thread} has died"))
}

fn late(patience: Duration) -> io::Error {
    let text = format!("it did not answer within {} s", patience.as_secs_f64());
    io::Error::new(io::ErrorKind::TimedOut, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_answers_is_waited_for_while_others_work() {
        let (answer, answers) = mpsc::channel();
        let other = async { answer.send(7).unwrap() };
        let work = move || answers.recv().unwrap();
        let (result, ()) = tokio::join!(within(PATIENCE, "test", work), other);
        assert_eq!(result.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_does_not_answer_is_not_waited_for() {
        let (answer, answers) = mpsc::channel::<()>();
        let work = move || answers.recv().is_ok();
        let error = within(Duration::ZERO, "test", work).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(answer);
    }

    #[tokio::test]
    async fn a_death_is_no_answer() {
        let work = || panic!("as it should");
        let error = within::<()>(PATIENCE, "test", work).await.unwrap_err();
        assert!(error.to_string().contains("died"), "{error}");
    }
}
