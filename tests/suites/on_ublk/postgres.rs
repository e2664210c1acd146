//! PostgreSQL on a volume on ublk, while all of it moves and the process that serves it dies. The drives
//! are QEMU's own: with so much in flight, the kernel's nbd driver takes an answer of the harness's disks
//! for a second one ("Double reply"), and gives the disk up.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tier_tests::command::{attempt, run};
use tier_tests::guest::Drive;
use tier_tests::test_name;
use tier_tests::tierd::Setting;

use super::*;

/// The members, each with its size in MiB. How fast they are is the emulation's affair: none is given up
/// for that.
const MEMBERS: [(&str, u64); 3] = [("nvme", 120), ("ssd", 120), ("hdd", 160)];
const CONFIG: &str = "[daemon]\nsocket = \"/run/tierd/tierd.sock\"\n\
    [daemon.scan]\ninclude = [\"/dev/nvme*\", \"/dev/sd*\"]\n[intervals]\nscale = 0.05\n\
    [probe]\nenabled = false\n[policy]\nenabled = false\nheadroom = 0.6\nmirrors_max = 4\n\
    [policy.trial]\nslower_percent_max = 10000\n";
const MOUNT: &str = "/run/volume";
/// Seconds for which transactions are made.
const SECONDS: u64 = 30;

#[test]
fn a_database_is_consistent_after_all_of_it_moved_under_transactions() {
    let [nvme, ssd, hdd] = MEMBERS.map(|(_, mib)| mib << 20);
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .module("ext4")
        .drive(Drive::nvme("nvme", nvme))
        .drive(Drive::ssd("ssd", ssd))
        .drive(Drive::hdd("hdd", hdd))
        .memory_mib(2048)
        .deadline(Duration::from_mins(20))
        .phase(|guest| {
            let drives = MEMBERS.map(|(class, _)| guest.drive(class));
            let daemon = Setting::new(guest, programs()).config(CONFIG).run();
            let members = [0, 1, 2].map(|at: usize| (MEMBERS[at].0, drives[at].as_path()));
            daemon.create_on("ublk", "v", &members);
            let regions = shown(&daemon)["regions"].as_u64().unwrap();
            run("mkfs.ext4", &["-q", VOLUME]);
            std::fs::create_dir_all(MOUNT).unwrap();
            run("mount", &["-o", "errors=panic", VOLUME, MOUNT]);
            let database = Database::make();
            let mut transactions = database.transactions();
            let moved = move_until(regions, || transactions.try_wait().unwrap().is_some());
            assert!(transactions.wait().unwrap().success(), "pgbench failed");
            println!("{moved} requests for moves were taken meanwhile");
            assert!(moved > 3, "{moved}");
            wait_for_moves(&daemon);
            assert_eq!(ends("failed"), 0, "{:?}", moves());
            database.check_and_stop();
            run("umount", &[MOUNT]);
            run("e2fsck", &["-f", "-n", VOLUME]);
            daemon.must(&["volume", "stop", "v"]);
            assert!(daemon.stop().success());
        })
        .run();
}

/// Moves all regions to one member after the other, and kills the process that serves the volume half
/// way. Says how often a move was begun.
fn move_until(regions: u64, mut is_over: impl FnMut() -> bool) -> u32 {
    let begins = Instant::now();
    let (mut moved, mut first, mut member, mut is_killed) = (0, 0, 0, false);
    while !is_over() {
        let count = 16.min(regions - first);
        // What moves already, or has no room yet, is refused.
        let asked = ask_move(
            u32::try_from(first).unwrap(),
            u32::try_from(count).unwrap(),
            member,
        );
        moved += u32::from(asked.is_ok());
        first += count;
        if first >= regions {
            (first, member) = (0, (member + 1) % 3);
        }
        if !is_killed && begins.elapsed() > Duration::from_secs(SECONDS / 2) {
            let _ = attempt("pkill", &["-KILL", "-f", "serve v$"]);
            is_killed = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    moved
}

/// A cluster on the volume, running.
struct Database {
    programs: PathBuf,
}

impl Database {
    fn make() -> Self {
        let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL");
        let version = versions.flatten().next().expect("a version of PostgreSQL");
        let database = Self {
            programs: version.path().join("bin"),
        };
        run("chown", &["postgres", MOUNT]);
        let words = [
            "--data-checksums",
            "--wal-segsize=1",
            "--no-sync",
            "--auth=trust",
            "-D",
        ];
        database.run("initdb", &[&words[..], &[DATA]].concat());
        let options = "-c listen_addresses='' -c unix_socket_directories=/run/volume \
            -c shared_buffers=8MB -c max_wal_size=8MB -c min_wal_size=2MB -c checkpoint_timeout=30s";
        let log = format!("{DATA}/log");
        let start = [
            "-D", DATA, "-o", options, "-l", &log, "-w", "-t", "300", "start",
        ];
        database.run("pg_ctl", &start);
        database.run("createdb", &["-h", MOUNT, "bench"]);
        database.run(
            "pgbench",
            &["-h", MOUNT, "--initialize", "--quiet", "bench"],
        );
        database
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]);
        command.arg(self.programs.join(program)).args(arguments);
        command.current_dir("/");
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = self.command(program, arguments);
        // The server that pg_ctl starts would keep a pipe open.
        let to = std::fs::File::create("/run/postgres.said").unwrap();
        command.stdin(Stdio::null());
        command.stdout(to.try_clone().unwrap()).stderr(to);
        let begins = Instant::now();
        let status = command.status().expect("a program of PostgreSQL");
        println!("{program}: {:.1} s", begins.elapsed().as_secs_f64());
        let said = std::fs::read_to_string("/run/postgres.said").unwrap();
        let log = std::fs::read_to_string(format!("{DATA}/log")).unwrap_or_default();
        assert!(status.success(), "{program} {arguments:?}: {said}\n{log}");
        said
    }

    fn transactions(&self) -> Child {
        let seconds = SECONDS.to_string();
        let arguments = ["-h", MOUNT, "--client=4", "--time", &seconds, "bench"];
        self.command("pgbench", &arguments)
            .spawn()
            .expect("pgbench")
    }

    /// The balances agree with what was transferred, every index with its table, and every page with
    /// its checksum.
    fn check_and_stop(&self) {
        let sums = "select (select sum(abalance) from pgbench_accounts), \
            (select sum(tbalance) from pgbench_tellers), \
            (select sum(bbalance) from pgbench_branches), \
            (select sum(delta) from pgbench_history), (select count(*) from pgbench_history)";
        let said = self.run("psql", &["-h", MOUNT, "-At", "-c", sums, "bench"]);
        let sums: Vec<&str> = said.trim().split('|').collect();
        println!("sums of accounts, tellers, branches and history, and transactions: {said}");
        assert!(sums[..4].iter().all(|sum| *sum == sums[0]), "{said}");
        assert!(sums[4].parse::<u64>().unwrap() > 20, "{said}");
        let all = [
            "-h",
            MOUNT,
            "--all",
            "--install-missing",
            "--heapallindexed",
        ];
        self.run("pg_amcheck", &all);
        self.run(
            "pg_ctl",
            &["-D", DATA, "-m", "fast", "-w", "-t", "300", "stop"],
        );
        let said = self.run("pg_checksums", &["--check", "-D", DATA]);
        assert!(said.contains("Bad checksums:  0"), "{said}");
    }
}

const DATA: &str = "/run/volume/data";
