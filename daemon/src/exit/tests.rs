use super::*;

#[test]
fn codes_are_distinct_small_and_in_order() {
    for (index, code) in ExitCode::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(code.number()), index);
        assert!(code.number() < 64);
    }
}

#[test]
fn help_names_every_code() {
    let help = ExitCode::help();
    for code in ExitCode::ALL {
        assert!(help.contains(&format!("{:>2}  {}", code.number(), code.meaning())));
    }
}

#[test]
fn the_readme_lists_every_code_with_its_meaning() {
    let readme = include_str!("../../../README.md");
    for code in ExitCode::ALL {
        let row = format!("| {} | {} |", code.number(), code.meaning());
        assert!(readme.contains(&row), "the README lacks the line {row:?}");
    }
}

const UNITS: [&str; 3] = [
    include_str!("../../../systemd/tierd.service"),
    include_str!("../../../systemd/tierd-activate.service"),
    include_str!("../../../systemd/tierd-activate@.service"),
];

/// Values of a directive of a unit file, comments left out.
fn directive<'a>(unit: &'a str, name: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn the_unit_does_not_restart_on_what_does_not_mend_by_itself() {
    let lasting = [
        ExitCode::Usage,
        ExitCode::Config,
        ExitCode::Permission,
        ExitCode::KernelFeature,
    ];
    let expected = lasting.map(|code| code.number().to_string()).join(" ");
    assert_eq!(directive(UNITS[0], "RestartPreventExitStatus"), [expected]);
    assert_eq!(directive(UNITS[0], "Restart"), ["always"]);
}

#[test]
fn stopping_a_unit_takes_no_volume_down_and_any_exit_settles() {
    for unit in UNITS {
        assert_eq!(directive(unit, "ExecStop"), [""; 0]);
    }
    assert_eq!(
        directive(UNITS[0], "ExecStopPost"),
        ["/usr/sbin/tierd settle"]
    );
}

#[test]
fn no_unit_leaves_the_mount_namespace_of_the_host() {
    let apart = [
        "ProtectSystem",
        "ProtectHome",
        "PrivateTmp",
        "PrivateDevices",
        "PrivateMounts",
        "PrivateIPC",
        "ProtectProc",
        "ProcSubset",
        "ProtectKernelTunables",
        "ProtectKernelModules",
        "ProtectKernelLogs",
        "ProtectControlGroups",
        "ReadOnlyPaths",
        "ReadWritePaths",
        "InaccessiblePaths",
        "BindPaths",
        "RootDirectory",
        "DynamicUser",
    ];
    for (unit, name) in UNITS.iter().flat_map(|unit| apart.map(|name| (unit, name))) {
        assert_eq!(directive(unit, name), [""; 0], "{name}");
    }
}

#[test]
fn a_message_carries_its_causes_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot open /dev/x")]
    struct Outer(#[source] io::Error);
    let inner = io::Error::from_raw_os_error(libc::EBUSY);
    let text = Failure::new(ExitCode::DeviceFailed, Outer(inner)).message();
    assert!(text.starts_with("cannot open /dev/x: "));
    assert_eq!(text.matches("os error 16").count(), 1);
}

#[test]
fn what_a_client_is_told_keeps_its_hint_and_gets_a_code() {
    let refused = ErrorBody::new(ErrorKind::Degraded, "member 2 is missing".to_owned());
    let failure = Failure::from(refused.with_hint("plug it in"));
    assert_eq!(failure.code(), ExitCode::MetadataRefused);
    assert_eq!(failure.message(), "member 2 is missing; plug it in");
    for kind in ErrorKind::ALL {
        assert_ne!(ExitCode::from(kind), ExitCode::Done, "{kind:?}");
    }
}

#[test]
fn a_missing_privilege_is_told_from_other_failures() {
    let denied = io::Error::from_raw_os_error(libc::EPERM);
    assert_eq!(Failure::from(denied).code(), ExitCode::Permission);
    let broken = io::Error::from_raw_os_error(libc::EIO);
    assert_eq!(Failure::from(broken).code(), ExitCode::Internal);
}

#[test]
fn each_line_told_to_the_journal_has_its_priority() {
    let failure = Failure::new(ExitCode::Config, "no such key\n  |\n3 | headrom = 0.1");
    let told = failure.told_behind("<3>");
    assert_eq!(
        told,
        "<3>tierd: no such key\n<3>  |\n<3>3 | headrom = 0.1\n"
    );
    assert!(failure.told_behind("").starts_with("tierd: no such key\n"));
}
