//! The command line of tierd.
//!
//! Owns: what can be asked of the binary, and how it is called. It parses and explains; it does
//! nothing. People and scripts use `tierctl`; these commands are for systemd, udev and emergencies.

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::exit::ExitCode;
use crate::logging::Level;

/// What the binary was asked to do.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "tierd",
    version,
    about = "Joins NVMe, SSD and HDD block devices into one volume, and moves data before it is wanted",
    subcommand_required = false
)]
pub struct Cli {
    /// Configuration file. Without this, /etc/tierd/tierd.toml if it exists, else the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Read the configuration, print "ok" and what is in effect (or what is wrong), and end.
    #[arg(long, global = true)]
    pub check_config: bool,

    /// How much to log; wins over `TIERD_LOG` and the configuration.
    #[arg(long, global = true, value_name = "LEVEL", value_enum)]
    pub log_level: Option<Level>,

    #[command(subcommand)]
    command: Option<Command>,
}

/// The commands.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the daemon: bring volumes up, count their I/O, decide and move.
    ///
    /// Volumes that run already, live mirrors included, are adopted as they are. SIGTERM and
    /// SIGINT end the daemon and leave every volume running.
    Run,
    /// Bring volumes up, without counting or moving, and end.
    ///
    /// For the boot: it loads the tables that the metadata names and needs neither network nor
    /// file systems but the root. A volume that is up already is left as it is.
    Activate(Activate),
    /// After any exit of the daemon: leave nothing parked, and end.
    ///
    /// Turns every mirror of a move into the leg that its record names, so that no write waits
    /// for a daemon that is gone. Changes nothing while a daemon is running. Safe to repeat.
    Settle,
    /// Serve a volume on ublk, until it is stopped.
    ///
    /// The daemon and `activate` start this by themselves for volumes whose backend is ublk. It goes on
    /// without them. When it dies, the volume's I/O waits until it is started again; nothing fails.
    Serve(Serve),
    /// For udev: print what it should know of this device if it is a member; fail silently if not.
    #[command(hide = true)]
    MemberProperties {
        /// Node of the device.
        device: PathBuf,
    },
    /// For udev: print of which volume on ublk this is the device; fail silently if of none.
    #[command(hide = true)]
    VolumeProperties {
        /// Node of the device.
        device: PathBuf,
    },
}

/// What to serve.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Serve {
    /// Name of the volume.
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// What to activate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Activate {
    /// Names of the volumes; all volumes found on the devices of the machine if none is given.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    /// Leave volumes alone that still wait for a member, and do not count them as a failure.
    /// For udev, which calls once for each member that arrives.
    #[arg(long)]
    pub ready_only: bool,
}

impl Cli {
    /// Parses the arguments of this process. A wrong command line, `--help` and `--version` come
    /// back as the error, whose own `print` and `exit_code` do what people expect.
    pub fn parse_args<I, T>(args: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        let cli = Self::from_arg_matches(&Self::command_with_help().try_get_matches_from(args)?)?;
        if cli.command.is_none() && !cli.check_config {
            return Err(Self::command_with_help().error(
                clap::error::ErrorKind::MissingSubcommand,
                "say what to do: run, activate, settle or serve (or --check-config)",
            ));
        }
        Ok(cli)
    }

    /// The command; `None` only with `--check-config`, which needs none.
    #[must_use]
    pub const fn command(&self) -> Option<&Command> {
        self.command.as_ref()
    }

    /// The definition with the exit codes in its help, for parsing, manual pages and completions.
    #[must_use]
    pub fn command_with_help() -> clap::Command {
        <Self as CommandFactory>::command().after_help(ExitCode::help())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::parse_args(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command_with_help().debug_assert();
    }

    #[test]
    fn commands_and_options_are_understood_in_any_order() {
        let cli = parse("tierd run --config /tmp/t.toml --log-level debug").unwrap();
        assert_eq!(cli.command(), Some(&Command::Run));
        assert_eq!(cli.config, Some(PathBuf::from("/tmp/t.toml")));
        assert_eq!(cli.log_level, Some(Level::Debug));
        let cli = parse("tierd --config /tmp/t.toml settle").unwrap();
        assert_eq!(cli.command(), Some(&Command::Settle));
    }

    #[test]
    fn activate_takes_names_and_the_flag_that_udev_uses() {
        let cli = parse("tierd activate --ready-only data home").unwrap();
        let expected = Activate {
            names: vec!["data".to_owned(), "home".to_owned()],
            ready_only: true,
        };
        assert_eq!(cli.command(), Some(&Command::Activate(expected)));
        let cli = parse("tierd activate").unwrap();
        assert_eq!(cli.command(), Some(&Command::Activate(Activate::default())));
    }

    #[test]
    fn no_command_is_a_usage_error_except_to_check_the_configuration() {
        let error = parse("tierd").unwrap_err();
        assert_eq!(error.exit_code(), i32::from(ExitCode::Usage.number()));
        assert!(parse("tierd --check-config").unwrap().command().is_none());
    }

    #[test]
    fn a_wrong_command_line_ends_with_the_documented_code() {
        for line in [
            "tierd frobnicate",
            "tierd run --colour",
            "tierd run --log-level loud",
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(
                error.exit_code(),
                i32::from(ExitCode::Usage.number()),
                "{line}"
            );
        }
    }

    #[test]
    fn help_lists_the_exit_codes() {
        let help = Cli::command_with_help().render_long_help().to_string();
        assert!(help.contains(ExitCode::MetadataRefused.meaning()));
    }
}
