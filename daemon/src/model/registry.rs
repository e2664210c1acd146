//! The models of a volume: which there are, and which is in use.
//!
//! Owns: the folder's `models.json` and `model-N.onnx`. Number 0 is the model that comes with tierd
//! and is no file. Invariants: the index is replaced whole, and a model is in it only after its
//! file is durable; the newest models are kept, and the one in use always.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::beneath::elsewhere;
use crate::state::{StateError, make_folder, replace};

/// Models that are kept beside the base model.
const KEPT_MAX: usize = 8;
const INDEX: &str = "models.json";

/// A model that was trained here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its number; later ones are larger.
    pub(crate) number: u32,
    /// The model that it was trained on from.
    pub(crate) from: u32,
    /// When, in seconds since 1970.
    pub(crate) made_unix_seconds: u64,
    /// Examples by which it was judged, and that it had not learned from.
    pub(crate) judged_by: u64,
    /// Its mean loss on these by horizon.
    pub(crate) loss: Vec<f64>,
    /// That of the model it came from.
    pub(crate) loss_before: Vec<f64>,
    /// That of the naive forecast.
    pub(crate) loss_naive: Vec<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Index {
    current: u32,
    models: Vec<Entry>,
}

/// Why the models cannot be kept or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// A file or the folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The index is no index.
    #[error("{path} is not what tierd writes there: {source}; remove it to begin anew")]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The folder could not be opened when the volume was started.
    #[error("the models cannot be used: {0}")]
    Unusable(String),
    /// No model of that number is kept.
    #[error("there is no model {number}; `tierctl model list` shows those there are")]
    NoSuchModel {
        /// Which was asked for.
        number: u32,
    },
    /// There is nothing to go back to.
    #[error("model {current} is in use, and nothing older is kept")]
    NothingOlder {
        /// The one in use.
        current: u32,
    },
}

/// The folder and its index.
#[derive(Debug)]
pub(super) struct Registry {
    folder: PathBuf,
    index: Index,
}

impl Registry {
    /// Opens a folder, and makes it if it is not there.
    pub(super) fn open(folder: PathBuf) -> Result<Self, RegistryError> {
        make_folder(&folder)?;
        let path = folder.join(INDEX);
        let index = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| RegistryError::Index { path, source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Index::default(),
            Err(error) => return Err(StateError::of(&path)(error).into()),
        };
        Ok(Self { folder, index })
    }

    /// Where a file of this folder is.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The number of the model in use.
    pub(super) const fn current(&self) -> u32 {
        self.index.current
    }

    /// The models that were trained here, oldest first.
    pub(super) fn models(&self) -> &[Entry] {
        &self.index.models
    }

    /// The file of a model that was trained here.
    pub(super) fn path(&self, number: u32) -> PathBuf {
        self.folder.join(format!("model-{number}.onnx"))
    }

    /// A model's bytes.
    pub(super) fn bytes(&self, number: u32) -> Result<Vec<u8>, RegistryError> {
        if number == 0 {
            return Ok(tier_network::BASE_MODEL.to_vec());
        }
        let path = self.path(number);
        elsewhere(&path).map_err(StateError::from)?;
        fs::read(&path).map_err(|error| StateError::of(&path)(error).into())
    }

    /// The number that the next model gets.
    pub(super) fn next_number(&self) -> u32 {
        let newest = self.index.models.iter().map(|one| one.number).max();
        newest.unwrap_or(0) + 1
    }

    /// Keeps a new model and takes it into use; the oldest are let go.
    pub(super) fn add(&mut self, entry: Entry, model: &[u8]) -> Result<(), RegistryError> {
        replace(&self.path(entry.number), model)?;
        let mut index = self.index.clone();
        index.current = entry.number;
        index.models.push(entry);
        let surplus = index.models.len().saturating_sub(KEPT_MAX);
        let gone: Vec<u32> = index
            .models
            .drain(..surplus)
            .map(|one| one.number)
            .collect();
        self.write(index)?;
        for number in gone {
            // Nothing names it any more; a file that stays does no harm.
            let _ = fs::remove_file(self.path(number));
        }
        Ok(())
    }

    /// Takes another model into use: the one named, or the newest that is older than the one in
    /// use. Gives its number.
    pub(super) fn roll_back(&mut self, to: Option<u32>) -> Result<u32, RegistryError> {
        let current = self.index.current;
        let number = match to {
            Some(number) => number,
            None if current == 0 => return Err(RegistryError::NothingOlder { current }),
            None => {
                let older = self.index.models.iter().map(|one| one.number);
                older.filter(|one| *one < current).max().unwrap_or(0)
            }
        };
        if number != 0 && !self.index.models.iter().any(|one| one.number == number) {
            return Err(RegistryError::NoSuchModel { number });
        }
        self.write(Index {
            current: number,
            ..self.index.clone()
        })?;
        Ok(number)
    }

    fn write(&mut self, index: Index) -> Result<(), RegistryError> {
        let path = self.folder.join(INDEX);
        let bytes = serde_json::to_vec_pretty(&index).map_err(|source| RegistryError::Index {
            path: path.clone(),
            source,
        })?;
        replace(&path, &bytes)?;
        self.index = index;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;

    fn entry(number: u32) -> Entry {
        Entry {
            number,
            from: number - 1,
            made_unix_seconds: 1_800_000_000,
            judged_by: 100,
            loss: vec![0.5; 4],
            loss_before: vec![0.6; 4],
            loss_naive: vec![0.7; 4],
        }
    }

    #[test]
    fn the_base_model_is_there_from_the_beginning_and_what_is_added_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a/b");
        let mut registry = Registry::open(place.clone()).unwrap();
        assert_eq!((registry.current(), registry.next_number()), (0, 1));
        assert_eq!(registry.bytes(0).unwrap(), tier_network::BASE_MODEL);
        registry.add(entry(1), b"one").unwrap();
        drop(registry);
        let registry = Registry::open(place).unwrap();
        assert_eq!((registry.current(), registry.next_number()), (1, 2));
        assert_eq!(registry.bytes(1).unwrap(), b"one");
        assert_eq!(registry.models(), [entry(1)]);
    }

    #[test]
    fn one_goes_back_step_by_step_to_the_base_model_and_forward_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(folder.path().to_owned()).unwrap();
        for number in 1..=2 {
            registry.add(entry(number), b"model").unwrap();
        }
        assert_eq!(registry.roll_back(None).unwrap(), 1);
        assert_eq!(registry.roll_back(None).unwrap(), 0);
        let refused = registry.roll_back(None);
        assert!(matches!(
            refused,
            Err(RegistryError::NothingOlder { current: 0 })
        ));
        let refused = registry.roll_back(Some(9));
        assert!(matches!(
            refused,
            Err(RegistryError::NoSuchModel { number: 9 })
        ));
        assert_eq!(registry.roll_back(Some(2)).unwrap(), 2);
        let again = Registry::open(folder.path().to_owned()).unwrap();
        assert_eq!(again.current(), 2);
    }

    #[test]
    fn the_oldest_are_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::open(folder.path().to_owned()).unwrap();
        for number in 1..=10 {
            registry.add(entry(number), b"model").unwrap();
        }
        let kept: Vec<u32> = registry.models().iter().map(|one| one.number).collect();
        assert_eq!(kept, [3, 4, 5, 6, 7, 8, 9, 10]);
        assert!(registry.bytes(2).is_err() && registry.bytes(3).is_ok());
    }

    #[test]
    fn an_index_that_is_none_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(INDEX), b"{").unwrap();
        let error = Registry::open(folder.path().to_owned()).unwrap_err();
        assert!(error.to_string().contains("models.json"), "{error}");
    }
}
