//! `tierd run`: the daemon.
//!
//! Owns: the life of the process, from its locks to its end. SIGTERM and SIGINT end it and leave
//! every volume running.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::api::{ControlSocket, Deadlines, SocketError, router, serve};
use crate::config::Config;
use crate::exit::{ExitCode, Failure};
use crate::logging::LogGuard;
use crate::manager::Manager;
use crate::notify::{Heartbeat, Notifier};

/// Between two beats of the heart.
const BEAT: Duration = Duration::from_secs(1);

/// How long the end waits for work under way on devices. systemd waits longer.
const ENDING: Duration = Duration::from_secs(30);

/// Runs the daemon until it is told to end.
pub fn run(config: Config, log: Arc<LogGuard>) -> Result<ExitCode, Failure> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "tierd starts");
    harden()?;
    let metrics = crate::metrics::install().map_err(|e| Failure::new(ExitCode::Internal, e))?;
    let heartbeat = Heartbeat::default();
    let notifier = Notifier::start(heartbeat.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(async {
        let socket = ControlSocket::bind(&config.daemon.socket).map_err(socket_failure)?;
        let manager = Arc::new(Manager::new(config));
        manager.start_all().await;
        notifier.status(manager.status_line().await);
        notifier.ready();
        tokio::spawn(beat(heartbeat, log));
        tokio::spawn(keep_status(Arc::clone(&manager), notifier.clone()));
        let mender = Arc::clone(&manager);
        tokio::spawn(async move { mender.mend_losses().await });
        let api = router(Arc::clone(&manager), metrics, Deadlines::default());
        serve(socket, api, told_to_end()?).await?;
        notifier.stopping();
        manager.end().await;
        Ok(ExitCode::Done)
    });
    // Dropped, it would wait for ever for a device that does not answer.
    runtime.shutdown_timeout(ENDING);
    ended
}

/// What a process that holds devices has to be: its memory stays in memory, since the device that
/// it holds may carry the swap, and the kernel lets it allocate without waiting for I/O that only
/// it can finish (`prctl(2)`, `PR_SET_IO_FLUSHER`). Threads inherit the second from here. Its death
/// leaves no core dump, which could wait for what is parked until it is gone: a limit of none does
/// not keep the kernel from handing one to a program (`core(5)`).
pub fn harden() -> Result<(), Failure> {
    let lacking = |what: &str, capability: &str, error: std::io::Error| {
        let text = format!("cannot {what} ({error}); tierd needs root with {capability}");
        Failure::new(ExitCode::Permission, text)
    };
    nix::sys::prctl::set_dumpable(false).map_err(std::io::Error::from)?;
    tier_sys::memory::lock_all()
        .map_err(|error| lacking("lock the daemon's memory", "CAP_IPC_LOCK", error))?;
    tier_sys::process::set_io_flusher()
        .map_err(|error| lacking("become an I/O flusher", "CAP_SYS_RESOURCE", error))
}

async fn beat(heartbeat: Heartbeat, log: Arc<LogGuard>) {
    let mut timer = tokio::time::interval(BEAT);
    loop {
        timer.tick().await;
        heartbeat.beat();
        crate::metrics::dropped_log_lines(log.dropped_lines());
    }
}

/// Keeps the line that `systemctl status` shows true.
async fn keep_status(manager: Arc<Manager>, notifier: Notifier) {
    loop {
        manager.changed().await;
        notifier.status(manager.status_line().await);
    }
}

/// Completes when the process is told to end.
fn told_to_end() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("told to end by SIGTERM"),
            _ = interrupt.recv() => tracing::info!("told to end by SIGINT"),
        }
    })
}

fn socket_failure(error: SocketError) -> Failure {
    let code = match &error {
        SocketError::InUse { .. } => ExitCode::InUse,
        SocketError::Place { .. } => ExitCode::Config,
        _ => ExitCode::Internal,
    };
    Failure::new(code, error)
}
