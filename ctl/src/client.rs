//! Talking to tierd: one request, one connection, one answer.
//!
//! Owns: the socket's client side and the failures it can have.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tier_wire::{ErrorBody, VolumeList, VolumeName, route};
use tokio::net::UnixStream;

use crate::exit::Exit;
use crate::failure::Failure;

/// Longest answer that is read: 64 MiB, above the largest heat map and the longest history.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// A client of one daemon.
#[derive(Debug)]
pub(crate) struct Client {
    socket: PathBuf,
    timeout: Duration,
}

impl Client {
    /// A client that connects to `socket` at each request and waits `timeout` for each answer.
    pub(crate) const fn new(socket: PathBuf, timeout: Duration) -> Self {
        Self { socket, timeout }
    }

    /// Asks for what is at `target`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, Failure> {
        self.ask(Method::GET, target, Bytes::new()).await
    }

    /// Sends `body` to `target`.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        target: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| {
            Failure::new(
                Exit::Internal,
                format!("cannot write the request as JSON: {error}"),
            )
        })?;
        self.ask(Method::POST, target, body.into()).await
    }

    /// The volume that was named; or, where none was, the only one there is.
    pub(crate) async fn volume_or_only(
        &self,
        wanted: Option<VolumeName>,
    ) -> Result<VolumeName, Failure> {
        if let Some(name) = wanted {
            return Ok(name);
        }
        let VolumeList { volumes } = self.get(route::VOLUMES).await?;
        match volumes.as_slice() {
            [only] => Ok(only.name.clone()),
            [] => Err(Failure::new(Exit::NotFound, "there is no volume yet")
                .with_hint("`tierctl volume create` makes one")),
            several => {
                let names: Vec<_> = several.iter().map(|volume| volume.name.as_str()).collect();
                Err(Failure::new(
                    Exit::Usage,
                    format!("which volume? There are {}", names.join(", ")),
                )
                .with_hint("name one of them"))
            }
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<T, Failure> {
        let (status, bytes) = within(self.timeout, self.exchange(method, target, body))
            .await
            .unwrap_or_else(|| {
                Err(Failure::new(
                    Exit::Timeout,
                    format!(
                        "tierd gave no answer within {} s",
                        self.timeout.as_secs_f64()
                    ),
                )
                .with_hint("the work may go on; look before you ask again, or raise --timeout"))
            })?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&bytes).map_err(|error| {
                not_understood(&format!(
                    "the answer to {target} is not as expected: {error}"
                ))
            });
        }
        Err(match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(error) => error.into(),
            Err(_) => not_understood(&format!("{target} was answered with status {status}")),
        })
    }

    async fn exchange(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|e| self.not_connected(&e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(&error))?;
        // Driven beside the request; its error reaches the request as well.
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| {
                Failure::new(Exit::Internal, format!("cannot write the request: {error}"))
            })?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| self.broken(&error))?;
        let status = response.status();
        let bytes = Limited::new(response.into_body(), REPLY_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| self.broken(error.as_ref()))?
            .to_bytes();
        driver.abort();
        Ok((status, bytes))
    }

    fn not_connected(&self, error: &io::Error) -> Failure {
        let socket = self.socket.display();
        let failure = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::new(
                Exit::NotRunning,
                format!("no tierd listens on {socket} ({error})"),
            )
            .with_hint(
                "start it with `systemctl start tierd`, or name its socket with --socket \
                         or TIERD_SOCKET",
            ),
            io::ErrorKind::PermissionDenied => Failure::new(
                Exit::Denied,
                format!("may not connect to {socket} ({error})"),
            )
            .with_hint("tierd's socket is root's alone: use sudo"),
            _ => Failure::new(Exit::Io, format!("cannot connect to {socket}: {error}")),
        };
        failure
            .with_device(socket.to_string())
            .with_errno(error.raw_os_error())
    }

    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        let mut reasons = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            reasons = format!("{reasons}: {error}");
            cause = error.source();
        }
        let socket = self.socket.display();
        Failure::new(
            Exit::Protocol,
            format!("the connection over {socket} broke: {reasons}"),
        )
        .with_hint("did tierd stop meanwhile? `systemctl status tierd`")
        .with_device(socket.to_string())
    }
}

fn not_understood(message: &str) -> Failure {
    Failure::new(Exit::Protocol, message)
        .with_hint("are tierctl and tierd of the same version? `tierctl health` shows tierd's")
}

async fn within<T>(timeout: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(timeout, work).await.ok()
}
