//! Places in the store's work where a test can stop the process or cut the power.
//!
//! Owns: [`Step`] and [`Steps`]. In production there is no observer, and a step costs one branch.

use std::fmt;
use std::sync::Arc;

use tier_core::units::MemberIndex;

/// A moment between two durable changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing of a metadata transaction has reached this member's replica yet.
    BeforeReplica {
        /// The member that carries the replica.
        member: MemberIndex,
    },
    /// A metadata transaction is durable on this member's replica.
    AfterReplica {
        /// The member that carries the replica.
        member: MemberIndex,
    },
    /// A copy of this member's label is about to be written.
    LabelCopy {
        /// The member.
        member: MemberIndex,
        /// Which of its two copies.
        copy: usize,
    },
    /// Both copies of this member's label are durable.
    AfterLabel {
        /// The member.
        member: MemberIndex,
    },
}

/// Who is told of each step.
#[derive(Clone, Default)]
pub struct Steps(Option<Arc<dyn Fn(Step) + Send + Sync>>);

impl Steps {
    /// Nobody.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Calls `observer` at each step, from the thread that does the work.
    pub fn observed(observer: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observer)))
    }

    pub(crate) fn reached(&self, step: Step) {
        if let Some(observer) = &self.0 {
            observer(step);
        }
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Steps(observed)"
        } else {
            "Steps(none)"
        })
    }
}
