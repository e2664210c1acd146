//! Polices the repository: rules of the house that no lint knows.
//!
//! A rule is a function from a file's path and text to complaints, so that each is tried on a
//! canary first: a rule that no longer bites fails here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest file, in lines.
const LINES_MAX: usize = 500;

/// What may stand at the top of the repository.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "bpf",
    "clippy.toml",
    "ctl",
    "daemon",
    "deny.toml",
    "rustfmt.toml",
    "systemd",
    "tests",
];

/// Words that stand for unfinished work. Cut in two, or this file would be its own first catch.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// What `daemon/core` may not name: I/O, clocks, threads, unordered maps.
const NOT_IN_CORE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
];

/// Functions of numbers whose precision the standard library leaves unspecified ("varies by platform,
/// Rust version, and can even differ within the same execution"), so that the same events would not give
/// the same commands everywhere. `powi` is one of them. `sqrt` and `mul_add` are not: those it guarantees
/// to round as IEEE 754 has it. `daemon/core/src/power.rs` has powers of two and their logarithm.
const UNSPECIFIED: &[&str] = &[
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "exp_m1",
    "gamma",
    "hypot",
    "ln",
    "ln_1p",
    "ln_gamma",
    "log",
    "log10",
    "log2",
    "powf",
    "powi",
    "sin",
    "sin_cos",
    "sinh",
    "tan",
    "tanh",
    "to_degrees",
    "to_radians",
];

type Rule = fn(&Path, &str) -> Vec<String>;

/// Each rule with a file that it must catch.
const RULES: &[(Rule, &str, &str)] = &[
    (files_are_short, "daemon/src/long.rs", LONG_CANARY),
    (
        unsafe_stands_in_sys_alone,
        "daemon/src/main.rs",
        "    unsafe { call() }\n",
    ),
    (
        core_is_pure,
        "daemon/core/src/map.rs",
        "use std::collections::HashMap;\n",
    ),
    (
        core_rounds_alike_everywhere,
        "daemon/core/src/wear.rs",
        "    let price = base * ahead\n        .exp2();\n",
    ),
    (
        core_rounds_alike_everywhere,
        "daemon/core/src/wear.rs",
        "    let all = rates.map(f64::ln_1p);\n",
    ),
    (
        core_rounds_alike_everywhere,
        "daemon/core/src/wear.rs",
        "#[cfg(test)]\nfn seen() {}\nfn shown(of: f64) -> f64 { of.powi(2) }\n",
    ),
    (
        nothing_is_unfinished,
        "bpf/build.rs",
        concat!("// TO", "DO: later\n"),
    ),
    (
        no_test_is_ignored,
        "daemon/src/main.rs",
        concat!("#[ign", "ore]\n"),
    ),
    (
        no_test_is_ignored,
        "daemon/src/main.rs",
        concat!("#[ign", "ore = \"slow\"]\n"),
    ),
];

/// One line more than a file may have.
const LONG_CANARY: &str = {
    const BYTES: [u8; LINES_MAX + 1] = [b'\n'; LINES_MAX + 1];
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => panic!("newlines are text"),
    }
};

fn files_are_short(path: &Path, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if !is_source(path) || lines <= LINES_MAX {
        return Vec::new();
    }
    vec![format!(
        "{}: {lines} lines, more than {LINES_MAX}",
        path.display()
    )]
}

fn unsafe_stands_in_sys_alone(path: &Path, text: &str) -> Vec<String> {
    if !is_rust(path) || path.starts_with("daemon/sys/src") {
        return Vec::new();
    }
    lines_with(path, text, "uses unsafe outside of daemon/sys", |line| {
        code(line)
            .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .any(|word| word == "unsafe")
    })
}

fn core_is_pure(path: &Path, text: &str) -> Vec<String> {
    if !is_rust(path) || !path.starts_with("daemon/core/src") {
        return Vec::new();
    }
    lines_with(path, text, "does what the core may not", |line| {
        NOT_IN_CORE.iter().any(|name| code(line).contains(name))
    })
}

fn core_rounds_alike_everywhere(path: &Path, text: &str) -> Vec<String> {
    if !is_rust(path) || !path.starts_with("daemon/core/src") || is_for_tests(path) {
        return Vec::new();
    }
    let what = "rounds in each system's own way; power.rs reckons alike everywhere";
    lines_with(path, without_tests(text), what, |line| {
        let code = code(line);
        UNSPECIFIED.iter().any(|name| names_function(&code, name))
    })
}

/// Whether a line calls this function of a number, or hands it on.
fn names_function(code: &str, name: &str) -> bool {
    let is_word = |rest: &str| {
        let word = rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        word.into_iter().next() == Some(name)
    };
    let of_types = ["f32::", "f64::"];
    let is_handed = |of: &&str| code.split(*of).skip(1).any(is_word);
    code.contains(&format!(".{name}(")) || of_types.iter().any(is_handed)
}

/// Files of the core that are built for its tests alone.
fn is_for_tests(path: &Path) -> bool {
    let mut parts = path
        .components()
        .filter_map(|part| part.as_os_str().to_str());
    parts.any(|part| ["tests", "tests.rs", "testing.rs", "sim", "sim.rs"].contains(&part))
}

/// A file up to its module of tests, which comes last.
fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {")
        .map_or(text, |at| &text[..at])
}

fn nothing_is_unfinished(path: &Path, text: &str) -> Vec<String> {
    lines_with(path, text, "is unfinished", |line| {
        UNFINISHED.iter().any(|word| line.contains(word))
    })
}

fn no_test_is_ignored(path: &Path, text: &str) -> Vec<String> {
    if !is_rust(path) {
        return Vec::new();
    }
    lines_with(
        path,
        text,
        "ignores a test; tier_tests::skip says why one cannot run",
        |line| {
            let line = line.trim_start();
            line.starts_with(concat!("#[ign", "ore]"))
                || line.starts_with(concat!("#[ign", "ore ="))
        },
    )
}

fn lines_with(path: &Path, text: &str, what: &str, bad: impl Fn(&str) -> bool) -> Vec<String> {
    let bad_lines = text.lines().enumerate().filter(|(_, line)| bad(line));
    bad_lines
        .map(|(at, line)| format!("{}:{} {what}: {line}", path.display(), at + 1))
        .collect()
}

/// A line without its comment, and without what stands in quotes.
fn code(line: &str) -> String {
    let line = line.split("//").next().unwrap_or_default();
    line.split('"').step_by(2).collect()
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

fn is_source(path: &Path) -> bool {
    is_rust(path)
        || path
            .extension()
            .is_some_and(|extension| extension == "c" || extension == "h")
        || path.parent() == Some(Path::new("tests"))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Files that git tracks, or would if asked to add all.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git ls-files failed; is this a checkout?"
    );
    let listing = String::from_utf8(output.stdout).unwrap();
    let files: Vec<_> = listing.lines().map(PathBuf::from).collect();
    assert!(files.len() > 20, "only {} files", files.len());
    files
        .into_iter()
        .filter(|path| repository().join(path).is_file())
        .collect()
}

#[test]
fn each_rule_catches_its_canary() {
    for (number, (rule, path, text)) in RULES.iter().enumerate() {
        assert!(
            !rule(Path::new(path), text).is_empty(),
            "rule {number} let {path} pass"
        );
    }
}

/// What the core may do, so that a rule which catches everything is seen.
#[test]
fn what_rounds_alike_everywhere_may_stand_in_the_core_and_anything_in_its_tests() {
    for (path, text) in [
        (
            "wear.rs",
            "    root = root.sqrt().mul_add(2.0, 1.0); // once .exp(\n",
        ),
        (
            "wear.rs",
            "    let catalogue = exp2(of) + self.logs(2.0) + f64::EPSILON;\n",
        ),
        ("wear/tests.rs", "    let exact = of.exp2();\n"),
        ("sim/disks.rs", "    let exact = of.exp2();\n"),
        (
            "power.rs",
            "#[cfg(test)]\nmod tests {\n    fn exact() -> f64 { 2.0_f64.powi(3) }\n}\n",
        ),
    ] {
        let path = Path::new("daemon/core/src").join(path);
        let complaints = core_rounds_alike_everywhere(&path, text);
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}

#[test]
fn every_file_keeps_every_rule() {
    let mut complaints = Vec::new();
    for path in files() {
        // Binary files hold no lines to complain of.
        let Ok(text) = std::fs::read_to_string(repository().join(&path)) else {
            continue;
        };
        for (rule, _, _) in RULES {
            complaints.extend(rule(&path, &text));
        }
    }
    complaints.sort();
    complaints.dedup();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_top_level_holds_what_was_agreed() {
    let strange: Vec<_> = files()
        .into_iter()
        .filter_map(|path| {
            path.components()
                .next()
                .map(|top| top.as_os_str().to_owned())
        })
        .filter(|top| !TOP_LEVEL.iter().any(|agreed| top == agreed))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// A suite that no group of `tests/run` names would not run, and nobody would see it.
#[test]
fn each_suite_is_in_one_group_of_tests_run() {
    let tests = repository().join("tests");
    let manifest = std::fs::read_to_string(tests.join("Cargo.toml")).unwrap();
    let runner = std::fs::read_to_string(tests.join("run")).unwrap();
    let in_tables = manifest.split("[[test]]").skip(1);
    let suites: Vec<&str> = in_tables
        .map(|table| {
            table
                .split("name = \"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
        })
        .collect();
    let groups: Vec<&str> = runner
        .lines()
        .filter_map(|line| line.split_once("_suites=(")?.1.strip_suffix(')'))
        .flat_map(str::split_whitespace)
        .collect();
    let mut wanted = suites.clone();
    let mut grouped = groups.clone();
    wanted.sort_unstable();
    grouped.sort_unstable();
    assert_eq!(
        grouped, wanted,
        "left: groups of tests/run; right: suites of tests/Cargo.toml"
    );
    // A name there that is no suite's would change no order, and nobody would see it.
    for order in ["alone_of_guests=(", "early_of_guests=("] {
        let names = runner.split_once(order).unwrap().1;
        let names = names.split_once(')').unwrap().0;
        for suite in names.split_whitespace() {
            let known = groups.contains(&suite);
            assert!(known, "{suite} of {order}) is in no group of tests/run");
        }
    }
    assert!(manifest.contains("autotests = false") || !tests.join("tests").exists());
}
