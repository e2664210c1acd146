//! What the experts are called.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What people know an expert by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpertName {
    /// What is in use just now goes on.
    Recent,
    /// What was used for a while goes on for as long: the reactive one.
    Lasting,
    /// What was always used goes on.
    Long,
    /// What lies beside what is in use will be used.
    Nearby,
    /// What followed what is in use, earlier, will follow it again.
    Following,
    /// What was used at this time of earlier periods will be used.
    Rhythm,
    /// What a recurrent network says will be used.
    Learned,
    /// What was touched as often lately will be used as much as such was. Last, so that what earlier
    /// versions kept names the others as they were.
    Touch,
}

impl fmt::Display for ExpertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recent => "recent",
            Self::Lasting => "lasting",
            Self::Long => "long",
            Self::Nearby => "nearby",
            Self::Following => "following",
            Self::Rhythm => "rhythm",
            Self::Learned => "learned",
            Self::Touch => "touch",
        })
    }
}
