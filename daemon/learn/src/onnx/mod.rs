//! Networks as ONNX files.
//!
//! Owns: [`Model`], and how it stands in a file. What is read is what this crate wrote: the same
//! graph, with other numbers. Another graph is refused, as its numbers would mean something else.

mod proto;
mod read;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::LearnError;
use crate::file;
use crate::weights::Weights;

/// Names of the facts that every model of ours has: of which version of the contract it is.
const VERSION_KEY: &str = "tierd.model_version";

/// A network, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its numbers.
    pub weights: Weights,
    /// How it was trained and how it was judged: name and text, as `metadata_props` of the file.
    pub facts: BTreeMap<String, String>,
}

impl Model {
    /// Reads a model.
    ///
    /// # Errors
    /// When the file cannot be read, is no ONNX file, or is not a network of this version.
    pub fn read(path: &Path) -> Result<Self, LearnError> {
        let bytes = file::read(path)?;
        read::model(&bytes).map_err(|why| LearnError::Model {
            path: path.to_owned(),
            why,
        })
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), LearnError> {
        file::write(path, &write::model(self))
    }
}

#[cfg(test)]
mod tests;
