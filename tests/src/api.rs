//! The daemon's API, asked in process.
//!
//! Owns: one HTTP request over the daemon's socket, as `curl --unix-socket` makes it. In a guest
//! of User-Mode Linux starting `tierctl` takes a hundred times as long as the answer, and the
//! crash suites ask many hundred times. May not: know of anything that `tier_wire` does not name.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks for what stands at `path`.
///
/// # Errors
/// What the daemon complained of, or why it could not be asked.
pub fn get(socket: &Path, path: &str) -> Result<Value, String> {
    ask(socket, "GET", path, "")
}

/// Sends `body` to `path`.
///
/// # Errors
/// As [`get`].
pub fn post(socket: &Path, path: &str, body: &Value) -> Result<Value, String> {
    ask(socket, "POST", path, &body.to_string())
}

fn ask(socket: &Path, method: &str, path: &str, body: &str) -> Result<Value, String> {
    let answer = exchange(socket, method, path, body).map_err(|error| error.to_string())?;
    let (head, content) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("the answer was cut off: {answer:?}"))?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        return Err(format!("{method} {path}: {status} {content}"));
    }
    serde_json::from_str(content).map_err(|error| format!("{error} in {content:?}"))
}

fn exchange(socket: &Path, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: tierd\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
