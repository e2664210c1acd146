//! What serves a volume: on record, for the next start.
//!
//! Owns: [`Store::set_backend`].

use super::{CommitError, Committed, Store};
use crate::meta::{Revision, Update};
use crate::words::BackendKind;

impl Store {
    /// Records what serves the volume, in the metadata and then in the labels, by which the next
    /// start goes. The generation stays: nothing has moved.
    pub fn set_backend(&mut self, backend: BackendKind) -> Result<Committed, CommitError> {
        if self.read_only {
            return Err(CommitError::ReadOnly);
        }
        let generation = self.metadata.generation;
        let mut dropped = Vec::new();
        if self.metadata.facts.backend != backend {
            let mut facts = self.metadata.facts.clone();
            facts.backend = backend;
            let revision = Revision(self.metadata.revision.0 + 1);
            let update = Update {
                revision,
                generation,
                facts: Some(&facts),
                change: None,
            };
            dropped = self.write_replicas(&update).map_err(|dropped| {
                let in_doubt = self.in_doubt(&dropped, self.metadata.revision);
                CommitError::NoReplica { dropped, in_doubt }
            })?;
            self.metadata.facts = facts;
            self.metadata.revision = revision;
        }
        if !dropped.is_empty() {
            return self.without(dropped);
        }
        let unwritten = self.write_labels();
        Ok(Committed {
            generation,
            dropped,
            unwritten,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{THREE, cut, fates, free_region, move_region, open, volume};
    use crate::testing::Power;

    fn named(store: &Store) -> Vec<BackendKind> {
        let labels = store.members.iter().map(|member| member.label.backend);
        [store.facts().backend].into_iter().chain(labels).collect()
    }

    #[test]
    fn what_serves_a_volume_is_on_record_and_nothing_else_changes() {
        let disks = volume(&THREE, &Power::steady());
        let (mut store, _) = open(&disks).unwrap();
        let (state, epoch) = (store.state(), store.facts().epoch());
        assert_eq!(named(&store), [BackendKind::Dm; 4]);
        for backend in [BackendKind::Ublk, BackendKind::Ublk, BackendKind::Dm] {
            store.set_backend(backend).unwrap();
            assert_eq!(named(&store), [backend; 4]);
            drop(store);
            let (again, recovery) = open(&disks).unwrap();
            assert!(recovery.is_clean(), "{recovery:?}");
            store = again;
            assert_eq!(named(&store), [backend; 4]);
            assert_eq!(
                (store.state(), store.facts().epoch()),
                (state.clone(), epoch)
            );
        }
    }

    #[test]
    fn a_power_cut_in_a_change_leaves_one_or_the_other_and_the_map() {
        let mut operation = 0;
        loop {
            let power = Power::steady();
            let disks = volume(&THREE, &power);
            let (mut store, _) = open(&disks).unwrap();
            let target = free_region(&store, 2);
            let commit = move_region(&store, 3, target);
            store.commit(&commit).unwrap();
            let state = store.state();
            power.cut_after(operation);
            let done = store.set_backend(BackendKind::Ublk);
            let is_whole = done.is_ok_and(|done| done.unwritten.is_empty());
            drop(store);
            for mut fate in fates() {
                let left = cut(&disks, &mut fate);
                let (store, _) = open(&left).unwrap();
                assert_eq!(store.state(), state, "cut after {operation}");
                let kinds = named(&store);
                assert!(
                    kinds.iter().all(|kind| *kind == kinds[0]),
                    "cut after {operation}: {kinds:?}"
                );
            }
            if is_whole {
                assert!(operation > 4, "no power was cut");
                break;
            }
            operation += 1;
        }
    }
}
