#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A made-up sysfs of devices, and folders that are told to be mount points. What a mount would
/// hide is there to be found by who looks.
struct World {
    folder: TempDir,
    lines: Vec<String>,
}

impl World {
    /// A disk, volumes on it, and what is built on them.
    fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            lines: vec!["1 0 8:1 / / rw - ext4 /dev/sda1 rw".to_owned()],
        };
        world.device("8:0", None, None);
        world.device("8:1", None, None);
        world.device("253:0", Some("tierd-data"), Some("8:0"));
        world.device("253:1", Some("vg-root"), Some("253:0"));
        world.device("253:2", Some("crypt"), Some("253:1"));
        world.device("253:3", Some("other"), Some("8:0"));
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn device(&self, number: &str, name: Option<&str>, beneath: Option<&str>) {
        let folder = self.path("sysfs").join(number);
        fs::create_dir_all(folder.join("slaves")).unwrap();
        if let Some(name) = name {
            fs::create_dir_all(folder.join("dm")).unwrap();
            fs::write(folder.join("dm/name"), format!("{name}\n")).unwrap();
        }
        if let Some(beneath) = beneath {
            symlink(self.path("sysfs").join(beneath), folder.join("slaves/one")).unwrap();
        }
    }

    /// Mounts a device on a folder within another mount; with what stands behind the dash.
    fn mount_as(&mut self, (id, parent): (i32, i32), device: &str, at: &str, what: &str) {
        fs::create_dir_all(self.path(at)).unwrap();
        let at = self.path(at).display().to_string().replace(' ', "\\040");
        let line = format!("{id} {parent} {device} / {at} rw shared:1 - {what}");
        self.lines.push(line);
    }

    fn mount(&mut self, ids: (i32, i32), device: &str, at: &str) {
        self.mount_as(ids, device, at, "ext4 /dev/some rw");
    }

    fn mounts(&self) -> Mounts {
        Mounts::parse(self.lines.join("\n").as_bytes(), &self.path("sysfs"))
    }

    /// The device that a path is refused for.
    fn refused(&self, path: &str) -> Option<String> {
        match self.mounts().elsewhere(&self.path(path)) {
            Ok(()) => None,
            Err(BeneathError::OnVolume { device, .. }) => Some(device),
            Err(error) => panic!("{error}"),
        }
    }

    fn is_refused(&self, path: &str) -> bool {
        let found = self.refused(path);
        assert!(found.is_none() || found.as_deref() == Some("tierd-data"));
        found.is_some()
    }
}

#[test]
fn a_volume_is_found_beneath_what_is_built_on_it() {
    let mut world = World::new();
    for (id, device) in (10..).zip(["253:0", "253:1", "253:2", "253:3", "8:0", "7:7"]) {
        world.mount((id, 1), device, device);
    }
    for on_volume in ["253:0", "253:1", "253:2"] {
        assert!(world.is_refused(&format!("{on_volume}/a/b")), "{on_volume}");
        assert!(world.is_refused(on_volume), "{on_volume}");
    }
    for elsewhere in ["253:3", "8:0", "7:7"] {
        assert!(!world.is_refused(&format!("{elsewhere}/a/b")));
    }
    assert!(!world.is_refused("253:0 and more"));
}

#[test]
fn a_file_system_on_a_volume_is_not_touched_to_tell() {
    let mut world = World::new();
    world.mount((10, 1), "253:0", "volume");
    // Whoever looked into the file system would be led out of it.
    fs::create_dir_all(world.path("elsewhere")).unwrap();
    symlink(world.path("elsewhere"), world.path("volume/link")).unwrap();
    assert!(world.is_refused("volume/link/file"));
    assert!(!world.is_refused("elsewhere/file"));
}

#[test]
fn links_are_followed_to_where_they_lead() {
    let mut world = World::new();
    world.mount((10, 1), "253:0", "volume");
    world.mount((11, 10), "8:0", "volume/disk");
    fs::create_dir_all(world.path("a")).unwrap();
    symlink(world.path("volume/state"), world.path("a/absolute")).unwrap();
    symlink("../volume/state", world.path("a/relative")).unwrap();
    symlink("relative", world.path("a/twice")).unwrap();
    symlink("../volume/disk/state", world.path("a/disk")).unwrap();
    for link in ["a/absolute", "a/relative/more", "a/twice"] {
        assert!(world.is_refused(link), "{link}");
    }
    // Over a folder of the volume, but one that holds a mount.
    assert!(!world.is_refused("a/disk"));
    assert!(world.is_refused("a/disk/../../state"));
    assert!(!world.is_refused("volume/../a"));
    assert!(world.is_refused("a/missing/../../volume/state"));
}

#[test]
fn links_in_a_circle_are_an_error() {
    let world = World::new();
    symlink("other", world.path("one")).unwrap();
    symlink("one", world.path("other")).unwrap();
    let error = world.mounts().elsewhere(&world.path("one")).unwrap_err();
    assert!(matches!(error, BeneathError::Unknown { .. }), "{error}");
}

#[test]
fn the_mount_on_top_counts() {
    let mut world = World::new();
    world.mount((10, 1), "253:0", "same");
    world.mount((11, 10), "8:0", "same");
    assert!(!world.is_refused("same/file"));
    world.mount((12, 11), "253:1", "same");
    assert!(world.is_refused("same/file"));
    // A mount that another on a folder above has hidden.
    world.mount((20, 1), "8:0", "above/hidden");
    world.mount((21, 1), "253:0", "above");
    assert!(world.is_refused("above/hidden/file"));
}

#[test]
fn names_with_blanks_are_understood() {
    let mut world = World::new();
    world.mount((10, 1), "253:0", "a volume");
    assert!(world.is_refused("a volume/file"));
    assert_eq!(unescaped(OsStr::new(r"\134a\040b\")), Path::new(r"\a b\"));
}

#[test]
fn what_is_on_no_device_is_judged_by_where_its_data_are() {
    let mut world = World::new();
    world.mount((10, 1), "253:0", "volume");
    let layers = |lower: &Path, upper: &Path| {
        let (lower, upper) = (lower.display(), upper.display());
        format!("overlay overlay rw,lowerdir=/usr:{lower},upperdir={upper},workdir=/w")
    };
    let (volume, disk) = (world.path("volume/x"), world.path("x"));
    world.mount_as((11, 1), "0:40", "both", &layers(&disk, &disk));
    world.mount_as((12, 1), "0:41", "upper", &layers(&disk, &volume));
    world.mount_as((13, 1), "0:42", "lower", &layers(&volume, &disk));
    world.mount_as((14, 1), "0:43", "memory", "tmpfs tmpfs rw");
    // Its own layers, as a container sees those of its root.
    let own = world.path("own");
    world.mount_as((15, 1), "0:44", "own", &layers(&own, &own));
    assert!(world.is_refused("upper/file") && world.is_refused("lower/file"));
    for elsewhere in ["both", "memory", "own"] {
        assert!(!world.is_refused(elsewhere), "{elsewhere}");
    }
}

#[test]
fn a_loop_device_lies_where_its_file_lies() {
    let mut world = World::new();
    world.mount((10, 1), "253:0", "volume");
    for (id, number, file) in [(11, "7:0", "volume/image"), (12, "7:1", "image")] {
        world.device(number, None, None);
        let folder = world.path("sysfs").join(number).join("loop");
        fs::create_dir_all(&folder).unwrap();
        let backing = format!("{}\n", world.path(file).display());
        fs::write(folder.join("backing_file"), backing).unwrap();
        world.mount((id, 1), number, number);
    }
    assert!(world.is_refused("7:0/file"));
    assert!(!world.is_refused("7:1/file"));
}

#[test]
fn what_is_nowhere_is_not_taken_to_be_elsewhere() {
    let mounts = Mounts::parse(
        b"10 1 8:1 / /mnt rw - ext4 /dev/sda1 rw\nrubbish",
        Path::new("/"),
    );
    let error = mounts.elsewhere(Path::new("/srv")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot tell on which device /srv lies")
    );
}

#[test]
fn the_mounts_of_this_machine_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    elsewhere(&folder.path().join("not/there")).unwrap();
    let mounts = Mounts::read().unwrap();
    let device = fs::metadata(folder.path()).unwrap().dev();
    let of = mounts.of(&folder.path().canonicalize().unwrap()).unwrap();
    if !of.device.starts_with(NO_DEVICE) {
        assert_eq!(of.device, DeviceNumber::from_raw(device).to_string());
    }
}
