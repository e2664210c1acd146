//! `tierctl volume create`: joins devices into a volume.

use std::path::Path;

use clap::Args;
use tier_wire::{Backend, Class, CreateVolume, NewMember, VolumeChange, VolumeName, route};

use super::changed;
use crate::client::Client;
use crate::confirm::confirm;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::units::parse_size;

#[derive(Args, Debug)]
pub(crate) struct Create {
    /// Name of the volume: A-Z a-z 0-9 _ . -
    name: VolumeName,
    /// Its devices. The class is found out from the kernel unless it is given (nvme, ssd, hdd)
    #[arg(value_name = "DEVICE[=CLASS]", required = true, value_parser = parse_member)]
    members: Vec<NewMember>,
    /// Size of a region, a power of two from 1MiB to 1GiB; fixed for good. Chosen if left out
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    region_size: Option<u64>,
    /// Logical block size of the volume, fixed for good. The largest of its devices' if left out
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    block_size: Option<u64>,
    /// What serves its I/O: dm (tables of device-mapper) or ublk (a process). It can be changed when
    /// the volume is started
    #[arg(long, value_name = "BACKEND", default_value_t)]
    backend: Backend,
    /// Overwrite devices that hold something else (a file system, a partition table)
    #[arg(long)]
    force: bool,
    /// Do not ask before overwriting
    #[arg(long)]
    yes: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Create {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let mut request = CreateVolume {
            name: self.name,
            members: self
                .members
                .iter()
                .map(absolute)
                .collect::<Result<_, _>>()?,
            region_bytes: self.region_size,
            block_bytes: self.block_size,
            backend: self.backend,
            force: self.force,
            dry_run: true,
        };
        if !self.dry_run {
            // Only what is asked for by force can overwrite anything; what that is, a dry run says.
            if self.force && !self.yes {
                let rehearsed: VolumeChange = client.post(route::VOLUMES, &request).await?;
                ask(&rehearsed)?;
            }
            request.dry_run = false;
        }
        let change: VolumeChange = client.post(route::VOLUMES, &request).await?;
        printer.show(&change, |change, look| {
            changed(change, look, "Created", "Would create")
        })
    }
}

fn ask(rehearsed: &VolumeChange) -> Result<(), Failure> {
    if rehearsed.overwrites.is_empty() {
        return Ok(());
    }
    let mut question = String::from("This destroys:\n");
    for overwrite in &rehearsed.overwrites {
        question += &format!("  {} on {}\n", overwrite.signature, overwrite.path);
    }
    confirm(question.trim_end(), "yes", false)
}

fn parse_member(text: &str) -> Result<NewMember, String> {
    let (path, class) = match text.rsplit_once('=') {
        // A `=` within a path is none of ours.
        Some((path, class)) if !class.contains('/') => (
            path,
            Some(class.parse::<Class>().map_err(|error| error.to_string())?),
        ),
        _ => (text, None),
    };
    if path.is_empty() {
        return Err("the device has no path".into());
    }
    Ok(NewMember {
        path: path.to_owned(),
        class,
    })
}

/// The daemon has another working directory.
fn absolute(member: &NewMember) -> Result<NewMember, Failure> {
    let path = std::path::absolute(Path::new(&member.path)).map_err(|error| {
        Failure::new(
            Exit::Invalid,
            format!("{} is no path: {error}", member.path),
        )
        .with_device(&member.path)
        .with_errno(error.raw_os_error())
    })?;
    let path = path.into_os_string().into_string().map_err(|path| {
        Failure::new(
            Exit::Invalid,
            format!("the path {} is not UTF-8", path.display()),
        )
    })?;
    Ok(NewMember {
        path,
        class: member.class,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_paths_with_or_without_a_class() {
        let member = |path: &str, class| {
            Ok(NewMember {
                path: path.into(),
                class,
            })
        };
        assert_eq!(parse_member("/dev/sdb"), member("/dev/sdb", None));
        assert_eq!(
            parse_member("/dev/sdb=hdd"),
            member("/dev/sdb", Some(Class::Hdd))
        );
        assert_eq!(parse_member("/dev/a=b/c"), member("/dev/a=b/c", None));
        let colons = "/dev/disk/by-path/pci-0000:00:1f.2-ata-1";
        assert_eq!(parse_member(colons), member(colons, None));
        assert!(
            parse_member("/dev/sdb=fast")
                .unwrap_err()
                .contains("nvme, ssd and hdd")
        );
        assert!(parse_member("=hdd").is_err());
    }
}
