//! Owns: the refusals. Pure.

use tier_core::units::Bytes;

use super::{Facts, MemberError};

/// Whether what is on a device may be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// A device with anything on it is refused.
    No,
    /// A foreign signature is overwritten. Nothing else is overridden by this: a device that is in
    /// use stays refused.
    DestroyContent,
}

/// What a volume asks of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirements {
    /// The least size that has room for labels, metadata and one region.
    pub minimum: Bytes,
    /// The volume's logical block size, where it is fixed already (rule 13). `None` while the
    /// volume is being created: it becomes the largest among its members'.
    pub block: Option<Bytes>,
    /// Whether content may be destroyed.
    pub force: Force,
}

/// Refuses a device that cannot be a member, for the first reason that holds.
pub fn check(facts: &Facts, requirements: Requirements) -> Result<(), MemberError> {
    let path = || facts.path.clone();
    if !facts.used_by.is_empty() {
        return Err(MemberError::InUse {
            path: path(),
            used_by: facts.used_by.clone(),
        });
    }
    if facts.busy {
        return Err(MemberError::Busy { path: path() });
    }
    if facts.read_only {
        return Err(MemberError::ReadOnly { path: path() });
    }
    if facts.size < requirements.minimum {
        let (size, minimum) = (facts.size, requirements.minimum);
        return Err(MemberError::TooSmall {
            path: path(),
            size,
            minimum,
        });
    }
    if let Some(wanted) = requirements.block
        && facts.logical_block > wanted
    {
        return Err(MemberError::BlockSize {
            path: path(),
            found: facts.logical_block,
            wanted,
        });
    }
    match (&facts.signature, requirements.force) {
        (Some(found), Force::No) => Err(MemberError::Signature {
            path: path(),
            found: found.clone(),
        }),
        _ => Ok(()),
    }
}

/// Refuses devices that are the same one, or parts of one another.
pub fn check_together(all: &[Facts]) -> Result<(), MemberError> {
    for (at, second) in all.iter().enumerate() {
        for first in &all[..at] {
            if first.number == second.number {
                return Err(MemberError::SameDevice {
                    first: first.path.clone(),
                    second: second.path.clone(),
                    number: first.number,
                });
            }
            for (partition, disk) in [(first, second), (second, first)] {
                if partition.disk == disk.number {
                    return Err(MemberError::PartitionOfOther {
                        partition: partition.path.clone(),
                        disk: disk.path.clone(),
                    });
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tier_core::volume::Class;
    use tier_sys::block::DeviceNumber;

    use super::super::{Signature, Use};
    use super::*;

    fn facts(path: &str, minor: u32) -> Facts {
        let number = DeviceNumber { major: 8, minor };
        Facts {
            path: path.into(),
            number,
            name: path.into(),
            disk: number,
            size: Bytes(1 << 30),
            logical_block: Bytes(512),
            physical_block: Bytes(4096),
            read_only: false,
            rotational: false,
            discard: true,
            volatile_cache: true,
            fua: true,
            class: Class::Ssd,
            used_by: Vec::new(),
            busy: false,
            signature: None,
        }
    }

    const WANTED: Requirements = Requirements {
        minimum: Bytes(64 << 20),
        block: Some(Bytes(512)),
        force: Force::No,
    };

    fn refusal(change: impl FnOnce(&mut Facts)) -> MemberError {
        let mut facts = facts("/dev/sda", 0);
        change(&mut facts);
        check(&facts, WANTED).unwrap_err()
    }

    #[test]
    fn a_blank_device_of_the_right_kind_is_taken() {
        check(&facts("/dev/sda", 0), WANTED).unwrap();
        let large_blocks = Facts {
            logical_block: Bytes(4096),
            ..facts("/dev/sda", 0)
        };
        check(
            &large_blocks,
            Requirements {
                block: None,
                ..WANTED
            },
        )
        .unwrap();
    }

    #[test]
    fn each_refusal_names_its_reason() {
        let mounted = refusal(|facts| facts.used_by = vec![Use::Mounted("/srv".into())]);
        assert_eq!(
            mounted.to_string(),
            "/dev/sda is in use: it is mounted on /srv"
        );
        assert!(matches!(
            refusal(|facts| facts.busy = true),
            MemberError::Busy { .. }
        ));
        assert!(matches!(
            refusal(|facts| facts.read_only = true),
            MemberError::ReadOnly { .. }
        ));
        let small = refusal(|facts| facts.size = Bytes(1 << 20));
        assert!(matches!(small, MemberError::TooSmall { .. }));
        let blocks = refusal(|facts| facts.logical_block = Bytes(4096));
        assert!(matches!(blocks, MemberError::BlockSize { .. }));
    }

    #[test]
    fn force_destroys_content_and_overrides_nothing_else() {
        let ext4 = Signature::Content {
            kind: "ext4".into(),
            label: None,
        };
        let refused = refusal(|facts| facts.signature = Some(ext4.clone()));
        assert!(matches!(&refused, MemberError::Signature { found, .. } if *found == ext4));
        let mut facts = facts("/dev/sda", 0);
        facts.signature = Some(ext4);
        let forced = Requirements {
            force: Force::DestroyContent,
            ..WANTED
        };
        check(&facts, forced).unwrap();
        facts.busy = true;
        assert!(matches!(
            check(&facts, forced),
            Err(MemberError::Busy { .. })
        ));
    }

    #[test]
    fn one_device_by_two_paths_and_a_part_of_another_are_refused() {
        let (disk, same) = (facts("/dev/sda", 0), facts("/dev/disk/by-id/x", 0));
        let twice = check_together(&[disk.clone(), same]).unwrap_err();
        assert!(matches!(twice, MemberError::SameDevice { .. }), "{twice}");
        let partition = Facts {
            disk: disk.number,
            ..facts("/dev/sda1", 1)
        };
        let sibling = Facts {
            disk: disk.number,
            ..facts("/dev/sda2", 2)
        };
        for pair in [
            [disk.clone(), partition.clone()],
            [partition.clone(), disk.clone()],
        ] {
            let part = check_together(&pair).unwrap_err();
            assert_eq!(
                part.to_string(),
                "/dev/sda1 is a partition of /dev/sda; give one of the two"
            );
        }
        check_together(&[partition, sibling, facts("/dev/sdb", 16)]).unwrap();
    }
}
