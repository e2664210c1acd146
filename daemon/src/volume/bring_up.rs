//! From members to a volume that runs, on whichever backend.
//!
//! Owns: which backend that is. Invariant: a volume that runs already, or whose requests wait, goes on
//! where it is, whatever is on record.

use tier_store::open::OpenOptions;
use tier_store::words::BackendKind;

use super::assemble::{AssembleError, Assembled, assemble, layout};
use super::discover::Found;
use super::start::Mapped;
use crate::config::Config;
use crate::serve::{self, Connection, Opened, check_not_on_ublk, is_on_ublk};

/// A volume that runs, and nobody decides yet.
pub(crate) enum Up {
    /// By tables of the kernel, which this process may change.
    Dm(Box<Assembled>),
    /// By a process, which obeys this one.
    Ublk(Connection, Box<Opened>),
}

/// Brings a volume up: on the backend that is `wanted`, or else on that which served it last.
pub(crate) fn bring_up(
    config: &Config,
    members: &[Found],
    options: &OpenOptions,
    wanted: Option<BackendKind>,
) -> Result<Up, AssembleError> {
    let newest = members.iter().max_by_key(|one| one.label.epoch.number);
    let Some(label) = newest.map(|found| &found.label) else {
        return Err(AssembleError::NotFound(String::new()));
    };
    let name = label.name.as_str();
    let last = if is_on_ublk(config, name) {
        BackendKind::Ublk
    } else {
        label.backend
    };
    match wanted.unwrap_or(last) {
        BackendKind::Dm => {
            check_not_on_ublk(config, name)?;
            Ok(Up::Dm(Box::new(assemble(members, options)?)))
        }
        BackendKind::Ublk => {
            // Two devices that say that they are one member are told from here.
            layout(members)?;
            let (connection, opened) = serve::join(config, name, options.degraded)?;
            Ok(Up::Ublk(connection, Box::new(opened)))
        }
    }
}

impl Up {
    /// What is needed to serve it, as these members.
    pub(crate) fn mapped(self, members: &[Found]) -> Result<Mapped, AssembleError> {
        match self {
            Self::Dm(assembled) => Ok(Mapped::on_dm(*assembled)?),
            Self::Ublk(connection, opened) => {
                Ok(Mapped::on_ublk(connection, *opened, &layout(members)?))
            }
        }
    }
}
