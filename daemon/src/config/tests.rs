use std::path::{Path, PathBuf};
use std::time::Duration;

use tier_core::units::Bytes;

use super::sections::{INTERVAL_MIN, TICK_MAX};
use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/tierd/tierd.toml"))
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn nothing_written_is_the_default() {
    assert_eq!(parse("").unwrap(), Config::default());
}

#[test]
fn a_misspelt_key_names_file_line_key_and_the_nearest_valid_one() {
    let text = refusal("# budget\n[probe]\nenabled = true\nmemry = \"1MiB\"\n");
    assert_eq!(
        text,
        "/etc/tierd/tierd.toml:4: there is no key `memry` in [probe]; the nearest is `memory` \
         (all: enabled, memory, latency_one_in)"
    );
}

#[test]
fn a_misspelt_section_names_the_nearest_valid_one() {
    let text = refusal("[prob]\nenabled = true\n");
    assert!(
        text.starts_with("/etc/tierd/tierd.toml:1: there is no section or key `prob`"),
        "{text}"
    );
    assert!(text.contains("the nearest is `probe`"), "{text}");
}

#[test]
fn a_wrong_type_names_its_line_and_key() {
    let text = refusal("[probe]\nenabled = \"yes\"\n");
    assert!(
        text.starts_with("/etc/tierd/tierd.toml:2: `probe.enabled`: invalid type"),
        "{text}"
    );
}

#[test]
fn text_that_is_no_toml_names_its_line() {
    let text = refusal("[probe]\nenabled = \n");
    assert!(text.starts_with("/etc/tierd/tierd.toml:2: "), "{text}");
}

#[test]
fn a_value_out_of_range_names_its_line_key_and_range() {
    let text = refusal("[probe]\n\nmemory = \"1KiB\"\n");
    assert_eq!(
        text,
        "/etc/tierd/tierd.toml:3: `probe.memory` is 1KiB, and has to be between 64KiB and 16GiB"
    );
    assert!(refusal("probe.latency_one_in = 0").contains("between 1 and 65536"));
}

#[test]
fn paths_have_to_be_absolute_and_a_socket_short_enough() {
    assert!(refusal("[daemon]\nsocket = \"tierd.sock\"").contains("an absolute path"));
    assert!(refusal("[record]\nevents = \"events\"").contains("an absolute path"));
    let long = format!("[daemon]\nsocket = \"/run/{}\"", "x".repeat(200));
    assert!(refusal(&long).contains("between 1 and 107 bytes long"));
}

#[test]
fn a_size_without_sense_is_refused_with_an_example() {
    let text = refusal("[probe]\nmemory = \"lots\"\n");
    assert!(
        text.contains("`probe.memory`: \"lots\" is no size such as \"64MiB\""),
        "{text}"
    );
}

#[test]
fn what_is_in_effect_reads_back_as_itself() {
    let mut config = Config::default();
    config.probe.memory = Bytes((1 << 20) + 1);
    config.record.events = Some(PathBuf::from("/var/tmp/events"));
    let text = config.to_toml().unwrap();
    assert_eq!(parse(&text).unwrap(), config, "{text}");
}

#[test]
fn an_absent_default_file_is_the_default_but_a_named_one_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("tierd.toml");
    assert_eq!(Config::load_from(None, &absent).unwrap(), Config::default());
    let error = Config::load_from(Some(&absent), &absent).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }));
    std::fs::write(&absent, "[probe]\nenabled = false\n").unwrap();
    assert!(!Config::load_from(None, &absent).unwrap().probe.enabled);
}

#[test]
fn a_default_file_that_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    // A directory can be opened, and reading it gives EISDIR.
    assert!(Config::load_from(None, folder.path()).is_err());
}

#[test]
fn the_scan_admits_what_is_included_and_not_excluded_under_any_name() {
    let scan = DeviceScan::default();
    assert!(scan.admits([Path::new("/dev/nvme0n1")]));
    assert!(!scan.admits([Path::new("/dev/sr0")]));
    // A star does not match a slash, as in the shell.
    assert!(!scan.admits([Path::new("/dev/disk/by-id/x")]));
    let config = parse(
        "[daemon.scan]\ninclude = [\"/dev/disk/by-id/nvme-*\"]\nexclude = [\"/dev/nvme9*\"]\n",
    );
    let scan = config.unwrap().daemon.scan;
    assert!(scan.admits([
        Path::new("/dev/nvme0n1"),
        Path::new("/dev/disk/by-id/nvme-a")
    ]));
    assert!(!scan.admits([
        Path::new("/dev/nvme9n1"),
        Path::new("/dev/disk/by-id/nvme-b")
    ]));
    assert!(!scan.admits([Path::new("/dev/sda")]));
}

#[test]
fn a_bad_device_pattern_is_refused() {
    assert!(refusal("[daemon.scan]\ninclude = [\"/dev/[\"]").contains("is no shell pattern"));
    assert!(refusal("[daemon.scan]\nexclude = [\"sda\"]").contains("is no absolute device path"));
}

#[test]
fn durations_are_written_as_people_say_them() {
    let mut config = parse("[intervals]\nsample = \"1s 500ms\"").unwrap();
    assert_eq!(config.intervals.sample, Duration::from_millis(1500));
    config.intervals.tick = Duration::from_millis(250);
    let text = config.to_toml().unwrap();
    assert!(
        text.contains("sample = \"1s 500ms\"") && text.contains("tick = \"250ms\""),
        "{text}"
    );
    let text = refusal("[intervals]\nsample = \"soon\"");
    assert!(
        text.contains("`intervals.sample`: \"soon\" is no length of time"),
        "{text}"
    );
    assert!(refusal("[intervals]\nmonitor = \"2h\"").contains("between 1ms and 1h"));
}

#[test]
fn the_policy_is_checked_like_the_rest() {
    assert_eq!(
        refusal("[policy]\nenabled = true\nheadroom = 1.5\n"),
        "/etc/tierd/tierd.toml:3: `policy.headroom` is 1.5, and has to be from 0 to 0.9"
    );
    let text = refusal("[policy]\nhedroom = 0.1\n");
    assert!(
        text.contains("no key `hedroom` in [policy]; the nearest is `headroom`"),
        "{text}"
    );
}

#[test]
fn what_flash_stands_is_checked_and_named() {
    assert_eq!(
        refusal("[policy.wear]\nmoney_per_year = 20.0\n"),
        "/etc/tierd/tierd.toml:2: `policy.wear.money_per_year` is 20, and has to be 0 where nothing has \
         a price: give policy.wear.nvme_money_per_terabyte, policy.wear.ssd_money_per_terabyte or the \
         money of a member"
    );
    let text = refusal("[policy.wear]\nnvme_dwpd = 1.0\n");
    assert!(
        text.contains("no key `nvme_dwpd` in [policy.wear]"),
        "{text}"
    );
    let text = refusal("[policy.wear.members.nvme0n1]\nmoney = 1.0\n");
    assert!(text.starts_with("/etc/tierd/tierd.toml:1: "), "{text}");
    assert!(text.contains("has to be the UUID of a member"), "{text}");
    let member = "[policy.wear.members.\"0f6d7e7a-3b0c-4f3e-9d65-0a53c4c1b111\"]\n";
    let text = refusal(&format!("{member}\nwritten_bytes_per_year = -1.0\n"));
    assert!(text.starts_with("/etc/tierd/tierd.toml:3: "), "{text}");
    let good = format!("{member}written_bytes_per_year = 120e12\nmoney = 89.0\n");
    let config = parse(&good).unwrap();
    assert_eq!(parse(&config.to_toml().unwrap()).unwrap(), config);
}

#[test]
fn one_factor_scales_every_interval() {
    let config = parse("[intervals]\nscale = 0.01\ntick = \"20ms\"").unwrap();
    let scaled = config.intervals.scaled();
    assert_eq!(scaled.sample, Duration::from_millis(20));
    assert_eq!(scaled.monitor, Duration::from_millis(20));
    assert_eq!(scaled.tick, INTERVAL_MIN);
    assert_eq!(scaled.scaled(), scaled);
    let (whole, scaled) = (&config.policy, config.scaled_policy());
    assert!((scaled.plan_seconds - whole.plan_seconds * 0.01).abs() < 1e-9);
    // Ten ticks of the default are still a pulse for the watchdog; a hundred are not.
    assert!(parse("[intervals]\nscale = 10.0").is_ok());
    assert!(refusal("[intervals]\nscale = 100.0").contains("`intervals.tick` is 1m 40s"));
    for factor in ["0.0", "-1.0", "nan", "1000.0"] {
        let text = refusal(&format!("[intervals]\nscale = {factor}"));
        assert!(text.contains("between 0.001 and 100"), "{text}");
    }
}

#[test]
fn the_run_loop_beats_often_enough_for_the_watchdog_of_the_unit() {
    let unit = include_str!("../../../systemd/tierd.service");
    let seconds = unit
        .lines()
        .find_map(|line| line.strip_prefix("WatchdogSec="))
        .unwrap();
    let watchdog = Duration::from_secs(seconds.parse().unwrap());
    assert!(TICK_MAX < watchdog / 2);
    // The defaults leave room for a loop that is late.
    assert!(Config::default().intervals.tick * 10 < watchdog / 2);
}

/// Every default of the shipped file is a commented key. With the comment signs taken away it has
/// to be a configuration, and the default one.
#[test]
fn the_shipped_configuration_parses_and_states_the_defaults_of_the_code() {
    let shipped = include_str!("../../../systemd/tierd.toml");
    assert_eq!(parse(shipped).unwrap(), Config::default(), "as shipped");

    let uncommented: String = shipped.lines().map(uncomment).collect();
    let stated = toml::from_str::<toml::Table>(&uncommented).unwrap();
    let config = parse(&uncommented).unwrap();
    let mut defaults = toml::Table::try_from(Config::default()).unwrap();
    // Not named by default, which TOML has no word for; the file shows examples.
    let unnamed = [
        ("record", "events"),
        ("forecast", "library"),
        ("forecast", "trainer"),
    ];
    for (section, key) in unnamed {
        let table = defaults
            .get_mut(section)
            .and_then(toml::Value::as_table_mut)
            .unwrap();
        let before = table.insert(key.to_owned(), stated[section][key].clone());
        assert_eq!(before, None, "{section}.{key} has a default");
    }
    assert_eq!(toml::Table::try_from(config).unwrap(), defaults);
    assert_eq!(
        keys(&stated, ""),
        keys(&defaults, ""),
        "a key is undocumented, or states no default"
    );
}

/// `#key = value` is a commented default; `# Words` is a comment.
fn uncomment(line: &str) -> String {
    let key = line
        .strip_prefix('#')
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
    format!("{}\n", key.unwrap_or(line))
}

fn keys(table: &toml::Table, prefix: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (name, value) in table {
        let path = format!("{prefix}{name}");
        match value {
            toml::Value::Table(inner) => all.extend(keys(inner, &format!("{path}."))),
            _ => all.push(path),
        }
    }
    all.sort();
    all
}
