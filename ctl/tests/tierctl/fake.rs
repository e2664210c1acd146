//! A fake tierd: HTTP/1.1 over a UNIX socket, answering from the wire's samples.
//!
//! Bodies are read with the wire's own types, so that a request which tierd would refuse for its
//! form is refused here too. It remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tier_wire::{
    CancelMove, CreateVolume, DestroyVolume, ErrorBody, ErrorKind, MoveRequest, Overwrite, Pause,
    Retrain, Rollback, SetPriority, StartVolume, StopVolume, VolumeList, samples,
};

/// How the fake is to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mood {
    /// Everything goes well.
    Well,
    /// Every request fails with this.
    Failing(ErrorBody),
    /// Creating overwrites a file system.
    Overwriting,
    /// There are no volumes.
    Empty,
    /// There are two volumes.
    Two,
    /// Moves are still under way at the first look and have ended at the second; with `true`, one
    /// of them failed.
    Moving(bool),
    /// Answers with this text and status 200.
    Babbling(&'static str),
    /// Takes the connection and hangs up.
    HangingUp,
    /// Takes the request and never answers.
    Silent,
}

pub(crate) struct Fake {
    directory: TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub(crate) fn new(mood: Mood) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        // Ends with the test's process: the listener is never closed before.
        thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &mood, &seen);
            }
        });
        Self { directory, asked }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// The requests so far, each as `METHOD target body`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: UnixStream, mood: &Mood, asked: &Mutex<Vec<String>>) {
    if *mood == Mood::HangingUp {
        return;
    }
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split(' ');
    let (method, target) = (
        words.next().unwrap().to_owned(),
        words.next().unwrap().to_owned(),
    );
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        match header.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let mut asked = asked.lock().unwrap();
    asked.push(format!("{method} {target} {body}").trim_end().to_owned());
    if *mood == Mood::Silent {
        drop(asked);
        // Until the client gives up and closes its end.
        let _ = reader.read(&mut [0]);
        return;
    }
    let looks = asked
        .iter()
        .filter(|one| one.starts_with("GET") && one.contains("/moves?"))
        .count();
    let (status, text) = match mood {
        Mood::Babbling(text) => (200, (*text).to_owned()),
        Mood::Failing(error) => (error.kind.http_status(), json(error)),
        _ => match answer(&method, &target, &body, mood, looks) {
            Ok(text) => (200, text),
            Err(error) => (error.kind.http_status(), json(&error)),
        },
    };
    // The client may have gone; that is its right.
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
}

type Answer = Result<String, ErrorBody>;

fn answer(method: &str, target: &str, body: &str, mood: &Mood, looks: usize) -> Answer {
    let path = target.split('?').next().unwrap();
    match (method, path) {
        ("GET", "/v1/health") => Ok(json(&samples::health())),
        ("GET", "/v1/volumes") => Ok(json(&volumes(mood))),
        ("POST", "/v1/volumes") => read::<CreateVolume>(body).map(|request| {
            let mut change = samples::change(request.dry_run);
            if *mood == Mood::Overwriting {
                change.overwrites = vec![Overwrite {
                    path: "/dev/sdb".into(),
                    signature: "ext4".into(),
                }];
            }
            json(&change)
        }),
        ("GET", "/v1/volumes/data") => Ok(json(&samples::volume())),
        ("GET", "/v1/volumes/data/members") => Ok(json(&samples::members())),
        ("GET", "/v1/volumes/data/status") => Ok(json(&samples::status())),
        ("GET", "/v1/volumes/data/heat") => Ok(json(&samples::heat())),
        ("GET", "/v1/volumes/data/plan") => Ok(json(&samples::plan())),
        ("GET", "/v1/volumes/data/explain") if target.ends_with("?move=17") => {
            Ok(json(&samples::explained_move()))
        }
        ("GET", "/v1/volumes/data/explain") if target.ends_with("?region=51200") => {
            Ok(json(&samples::explanation()))
        }
        ("GET", "/v1/volumes/data/models") => Ok(json(&samples::models())),
        ("POST", "/v1/volumes/data/models/retrain") => {
            read::<Retrain>(body).map(|Retrain {}| json(&samples::models()))
        }
        ("POST", "/v1/volumes/data/models/rollback") => {
            read::<Rollback>(body).map(|_| json(&samples::models()))
        }
        ("GET", "/v1/volumes/data/moves") => Ok(json(&moves(mood, looks))),
        ("POST", "/v1/volumes/data/start") => {
            read::<StartVolume>(body).map(|request| json(&samples::change(request.dry_run)))
        }
        ("POST", "/v1/volumes/data/stop") => {
            read::<StopVolume>(body).map(|request| json(&samples::change(request.dry_run)))
        }
        ("POST", "/v1/volumes/data/destroy") => {
            read::<DestroyVolume>(body).map(|request| json(&samples::change(request.dry_run)))
        }
        ("POST", "/v1/volumes/data/moves") => {
            read::<MoveRequest>(body).map(|request| json(&samples::accepted(request.dry_run)))
        }
        ("POST", "/v1/volumes/data/moves/18/cancel") => {
            read::<CancelMove>(body).map(|_| json(&samples::moves().live[0]))
        }
        ("POST", "/v1/volumes/data/moves/18/priority") => {
            read::<SetPriority>(body).map(|_| json(&samples::moves().live[0]))
        }
        ("POST", "/v1/volumes/data/pause") => {
            read::<Pause>(body).map(|_| json(&samples::pause(true)))
        }
        ("POST", "/v1/volumes/data/resume") => {
            read::<Pause>(body).map(|_| json(&samples::pause(false)))
        }
        _ => Err(ErrorBody::new(
            ErrorKind::NotFound,
            format!("{method} {path}: no such path"),
        )),
    }
}

fn volumes(mood: &Mood) -> VolumeList {
    let mut list = samples::volumes();
    match mood {
        Mood::Empty => list.volumes.clear(),
        Mood::Two => {
            let mut other = samples::volume();
            other.name = "other".parse().unwrap();
            list.volumes.push(other);
        }
        _ => {}
    }
    list
}

fn moves(mood: &Mood, looks: usize) -> tier_wire::MoveList {
    let mut list = samples::moves();
    if let (Mood::Moving(fails), 2..) = (mood, looks) {
        let mut ended = list.live.remove(0);
        ended.stage = if *fails {
            tier_wire::Stage::Failed
        } else {
            tier_wire::Stage::Done
        };
        ended.error = fails.then(|| "/dev/nvme0n1: Input/output error".into());
        ended.ended_seconds_ago = Some(0.1);
        list.history.insert(0, ended);
    }
    list
}

fn read<T: DeserializeOwned>(body: &str) -> Result<T, ErrorBody> {
    serde_json::from_str(body).map_err(|e| ErrorBody::new(ErrorKind::Invalid, e.to_string()))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}
