//! The API over a real socket, spoken to in the bytes that curl sends.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};
use tempfile::TempDir;
use tier_wire::{
    CancelMove, CreateVolume, DestroyVolume, ErrorBody, ErrorKind, ExplainQuery, Explanation,
    Health, HeatMap, HeatQuery, MemberList, ModelList, Move, MoveAccepted, MoveList, MoveRange,
    MoveRequest, MovesQuery, PauseState, Plan, Rollback, SetPriority, StartVolume, Status,
    StopVolume, Volume, VolumeChange, VolumeList, VolumeName, samples,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

mod fake;

use self::fake::{DEADLINE, Fake};
use super::control::Answer;
use super::routes::REQUESTS_MAX;
use super::{Control, ControlSocket, Deadlines, SocketError, router, serve};

/// A daemon's API on a socket in a directory of its own.
struct Server {
    directory: TempDir,
    fake: Arc<Fake>,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = ControlSocket::bind(&directory.path().join("s")).unwrap();
        let fake = Arc::new(Fake::default());
        let deadlines = Deadlines {
            look: DEADLINE,
            change: DEADLINE,
        };
        let (stop, stopped) = oneshot::channel();
        let routes = router(Arc::clone(&fake), metrics(), deadlines);
        let task = tokio::spawn(serve(socket, routes, async {
            let _ = stopped.await;
        }));
        Self {
            directory,
            fake,
            stop: Some(stop),
            task,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    async fn get(&self, target: &str) -> (u16, Value) {
        self.ask("GET", target, "").await
    }

    async fn post(&self, target: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", target, &body.to_string()).await
    }

    async fn ask(&self, method: &str, target: &str, body: &str) -> (u16, Value) {
        let (status, text) = ask(&self.path(), method, target, body).await;
        let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}"));
        (status, value)
    }

    async fn stop(mut self) -> PathBuf {
        drop(self.stop.take());
        self.task.await.unwrap().unwrap();
        let path = self.directory.path().join("s");
        assert!(!path.exists(), "the socket is left behind");
        path
    }
}

fn metrics() -> PrometheusHandle {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("tierd_holds_total").increment(3);
    });
    handle
}

/// One request as curl's `--data` sends it: with a form's content type.
async fn ask(socket: &Path, method: &str, target: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // A server that refuses a long body may close before all of it was sent.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

async fn becomes_true(flag: &AtomicBool) {
    tokio::time::timeout(Duration::from_secs(20), async {
        while !flag.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("the work never came so far");
}

#[tokio::test]
async fn every_look_answers_in_the_wires_words() {
    let server = Server::start();
    let of_data = [
        ("/v1/health", json!(samples::health())),
        ("/v1/volumes", json!(samples::volumes())),
        ("/v1/volumes/data", json!(samples::volume())),
        ("/v1/volumes/data/members", json!(samples::members())),
        ("/v1/volumes/data/status", json!(samples::status())),
        ("/v1/volumes/data/heat?buckets=4", json!(samples::heat())),
        ("/v1/volumes/data/plan", json!(samples::plan())),
        (
            "/v1/volumes/data/explain?region=51200",
            json!(samples::explanation()),
        ),
        (
            "/v1/volumes/data/explain?move=17",
            json!(samples::explained_move()),
        ),
        ("/v1/volumes/data/models", json!(samples::models())),
        ("/v1/volumes/data/moves?history=2", json!(samples::moves())),
    ];
    for (target, expected) in of_data {
        assert_eq!(server.get(target).await, (200, expected), "{target}");
    }
}

#[tokio::test]
async fn every_change_is_passed_on_as_asked() {
    let server = Server::start();
    let create = json!({"name": "new", "members": [{"path": "/dev/x"}], "dry_run": true});
    assert_eq!(
        server.post("/v1/volumes", &create).await,
        (200, json!(samples::change(true)))
    );
    for verb in ["start", "stop", "destroy"] {
        let target = format!("/v1/volumes/data/{verb}");
        assert_eq!(
            server.post(&target, &json!({"dry_run": true})).await,
            (200, json!(samples::change(true))),
            "{verb}"
        );
        // No body at all is the real thing.
        assert_eq!(
            server.ask("POST", &target, "").await,
            (200, json!(samples::change(false)))
        );
    }
    let by_hand = json!({"range": {"bytes": {"offset": 0, "length": 1}}, "to": {"class": "nvme"}});
    assert_eq!(
        server.post("/v1/volumes/data/moves", &by_hand).await,
        (200, json!(samples::accepted(false)))
    );
    let (status, taken_back) = server
        .ask("POST", "/v1/volumes/data/moves/77/cancel", "")
        .await;
    assert_eq!((status, &taken_back["id"]), (200, &json!(77)));
    let low = json!({"priority": "low"});
    let to = "/v1/volumes/data/moves/77/priority";
    let (status, changed) = server.post(to, &low).await;
    assert_eq!((status, &changed["priority"]), (200, &json!("low")));
    let (status, list) = server
        .ask("POST", "/v1/volumes/data/models/retrain", "")
        .await;
    assert_eq!((status, &list["training"]["runs"]), (200, &json!(true)));
    let target = "/v1/volumes/data/models/rollback";
    let (status, list) = server.post(target, &json!({"to": 2})).await;
    assert_eq!(
        (status, &list["models"][2]["is_current"]),
        (200, &json!(true))
    );
    assert_eq!(server.post(target, &json!({"too": 2})).await.0, 400);
    let paused = server.ask("POST", "/v1/volumes/data/pause", "").await;
    assert_eq!(paused, (200, json!({"volume": "data", "paused": true})));
    let resumed = server.ask("POST", "/v1/volumes/data/resume", "{}").await;
    assert_eq!(resumed, (200, json!({"volume": "data", "paused": false})));
}

#[tokio::test]
async fn an_error_of_the_daemon_keeps_its_words_and_gets_its_status() {
    let server = Server::start();
    let (status, error) = server.get("/v1/volumes/other/status").await;
    assert_eq!(status, 404);
    assert_eq!(
        error,
        json!({"kind": "not_found", "message": "there is no volume other",
               "hint": "`tierctl volume list` shows those there are"})
    );
    let create = json!({"name": "data", "members": [{"path": "/dev/x"}]});
    assert_eq!(server.post("/v1/volumes", &create).await.0, 409);
}

/// Requests that are refused: method, path, body, and a part of the reason.
const BAD: &[(&str, &str, &str, &str)] = &[
    ("GET", "/v1/volumes/-x", "", "no volume name"),
    ("GET", "/v1/volumes/a%2Fb/status", "", "no volume name"),
    ("GET", "/v1/volumes/data/heat?bucket=4", "", "unknown field"),
    ("GET", "/v1/volumes/data/heat?buckets=0", "", "0 buckets"),
    (
        "GET",
        "/v1/volumes/data/heat?buckets=x",
        "",
        "invalid digit",
    ),
    (
        "GET",
        "/v1/volumes/data/moves?history=10001",
        "",
        "10001 past",
    ),
    ("POST", "/v1/volumes", "{", "line 1 column 1"),
    ("POST", "/v1/volumes", "{}", "missing field `name`"),
    ("POST", "/v1/volumes", NO_MEMBER, "at least one member"),
    (
        "POST",
        "/v1/volumes/data/destroy",
        MISSPELT,
        "field `dryrun`",
    ),
    ("POST", "/v1/volumes/data/moves", NO_REGION, "empty"),
    ("POST", "/v1/volumes/data/moves/x/cancel", "", "`x`"),
];
const NO_MEMBER: &str = r#"{"name": "new", "members": []}"#;
const MISSPELT: &str = r#"{"dryrun": true}"#;
const NO_REGION: &str =
    r#"{"range": {"regions": {"first": 1, "count": 0}}, "to": {"class": "nvme"}}"#;

#[tokio::test]
async fn bad_requests_are_refused_with_the_reason() {
    let server = Server::start();
    let long = " ".repeat(70_000);
    let others = [
        ("POST", "/v1/volumes", long.as_str(), 400, "length limit"),
        ("GET", "/v2/volumes", "", 404, "no such path"),
        (
            "DELETE",
            "/v1/volumes/data",
            "",
            405,
            "does not take this method",
        ),
    ];
    let bad = BAD
        .iter()
        .map(|&(method, target, body, words)| (method, target, body, 400, words));
    for (method, target, body, status, words) in bad.chain(others) {
        let (got, error) = server.ask(method, target, body).await;
        let message = error["message"].as_str().unwrap();
        assert_eq!(got, status, "{method} {target}: {message}");
        assert!(message.contains(words), "{method} {target}: {message}");
    }
}

#[tokio::test]
async fn a_deadline_answers_the_client_and_lets_the_work_go_on() {
    let server = Server::start();
    let (status, error) = server.ask("POST", "/v1/volumes/slow/start", "").await;
    assert_eq!((status, &error["kind"]), (504, &json!("timeout")));
    becomes_true(&server.fake.slow_start_has_ended).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_the_work_going_on() {
    let server = Server::start();
    let mut stream = UnixStream::connect(server.path()).await.unwrap();
    stream
        .write_all(b"POST /v1/volumes/slow/start HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    becomes_true(&server.fake.slow_start_has_begun).await;
    drop(stream);
    becomes_true(&server.fake.slow_start_has_ended).await;
}

#[tokio::test]
async fn a_request_that_dies_is_answered_and_takes_nothing_with_it() {
    let server = Server::start();
    let (status, error) = server.get("/v1/volumes/broken").await;
    assert_eq!((status, &error["kind"]), (500, &json!("internal")));
    assert_eq!(server.get("/v1/volumes/data").await.0, 200);
}

#[tokio::test]
async fn requests_under_way_are_bounded() {
    let server = Server::start();
    for _ in 0..REQUESTS_MAX {
        assert_eq!(server.get("/v1/volumes/never").await.0, 504);
    }
    let (status, error) = server.get("/v1/health").await;
    assert_eq!((status, &error["kind"]), (503, &json!("unavailable")));
}

#[tokio::test]
async fn metrics_are_rendered() {
    let server = Server::start();
    let (status, text) = ask(&server.path(), "GET", "/metrics", "").await;
    assert_eq!(status, 200);
    assert!(text.contains("tierd_holds_total 3"), "{text}");
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_the_daemon() {
    let server = Server::start();
    let mode = std::fs::metadata(server.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    server.stop().await;
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_the_first_goes_on() {
    let server = Server::start();
    let error = ControlSocket::bind(&server.path()).unwrap_err();
    assert!(
        matches!(&error, SocketError::InUse { by, .. }
        if by.contains(&std::process::id().to_string())),
        "{error}"
    );
    assert!(error.to_string().contains("another tierd"));
    assert_eq!(server.get("/v1/health").await.0, 200);
}

#[tokio::test]
async fn a_second_daemon_is_refused_even_if_the_lock_file_was_removed() {
    let server = Server::start();
    std::fs::remove_file(server.directory.path().join("s.lock")).unwrap();
    let error = ControlSocket::bind(&server.path()).unwrap_err();
    assert!(matches!(error, SocketError::InUse { .. }), "{error}");
    assert_eq!(server.get("/v1/health").await.0, 200);
}

#[tokio::test]
async fn a_dead_daemons_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("not/there/yet/s");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // A listener of the standard library leaves its file behind, as a killed daemon does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let socket = ControlSocket::bind(&path).unwrap();
    let routes = router(Arc::new(Fake::default()), metrics(), Deadlines::default());
    let _task = tokio::spawn(serve(socket, routes, std::future::pending()));
    assert_eq!(ask(&path, "GET", "/v1/health", "").await.0, 200);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    std::fs::write(&path, "precious").unwrap();
    let error = ControlSocket::bind(&path).unwrap_err();
    assert!(matches!(error, SocketError::NotASocket(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_path_that_cannot_be_bound_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("n".repeat(200));
    let error = ControlSocket::bind(&path).unwrap_err();
    assert!(error.to_string().contains("listen on"), "{error}");
}
