//! ONNX Runtime, where the machine has it.
//!
//! Owns: [`Runtime`], the library once it is loaded, and [`Network`], a model that it runs. The
//! library is opened when tierd runs, not linked: without it there are no forecasts by the network,
//! and everything else works.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::Tensor;
use tier_core::forecast::{GroupForecast, GroupHistory};

use crate::contract::{
    Codes, FEATURES, HORIZONS, INPUT, NAIVE_INPUT, NETWORK_STEPS, OUTPUT, VERSION, features,
    naive_logs,
};

/// Where the library is looked for if nobody says where: as the dynamic linker does, then where it
/// is mostly put by hand.
pub const LIBRARIES: [&str; 3] = [
    "libonnxruntime.so",
    "/usr/local/lib/libonnxruntime.so",
    "/opt/onnxruntime/lib/libonnxruntime.so",
];

/// Histories that are forecast at once: their states stay in the processor's caches.
const BATCH: usize = 32;
/// Name of the fact in a model that tells of which version of the contract it is.
const VERSION_FACT: &str = "tierd.model_version";

/// Why there is no network, or no forecast by it.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The library is not there, or is not one.
    #[error("ONNX Runtime cannot be loaded from {library}: {why}")]
    Library {
        /// Which file.
        library: String,
        /// What the loader says.
        why: String,
    },
    /// The library refuses the model.
    #[error("the model cannot be used: {0}")]
    Model(String),
    /// A model of another version.
    #[error("the model is of version {found}, and this tierd needs version {VERSION}")]
    Version {
        /// What the model says of itself.
        found: String,
    },
    /// It did not give what it should.
    #[error("the forecast failed: {0}")]
    Forecast(String),
}

/// The library, loaded. There is one in a process at most.
#[derive(Clone, Debug)]
pub struct Runtime {
    environment: Environment,
    library: PathBuf,
}

/// A model, ready to run.
#[derive(Debug)]
pub struct Network {
    session: Session,
    // A session must not outlive its environment.
    _environment: Environment,
}

/// The one that was loaded first.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Loads the library from this file, or from the first of [`LIBRARIES`] that works. A process
    /// has one: what was loaded before is given again.
    pub fn load(library: Option<&Path>) -> Result<Self, NetworkError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*loaded {
            return Ok(runtime.clone());
        }
        let candidates = library.map_or_else(
            || LIBRARIES.iter().map(PathBuf::from).collect(),
            |library| vec![library.to_owned()],
        );
        let mut failed = None;
        for candidate in candidates {
            match Self::open(&candidate) {
                Ok(runtime) => {
                    *loaded = Some(runtime.clone());
                    return Ok(runtime);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| NetworkError::Model("no library was named".to_owned())))
    }

    fn open(library: &Path) -> Result<Self, NetworkError> {
        let refused = |why: String| NetworkError::Library {
            library: library.display().to_string(),
            why,
        };
        let builder = ort::init_from(library).map_err(|error| refused(error.to_string()))?;
        let environment = builder
            .with_telemetry(false)
            .build()
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            environment,
            library: library.to_owned(),
        })
    }

    /// The file that it was loaded from.
    #[must_use]
    pub fn library(&self) -> &Path {
        &self.library
    }
}

impl Network {
    /// Takes a model, an ONNX file's bytes, into use. It runs on one thread, that of the caller.
    pub fn new(runtime: &Runtime, model: &[u8]) -> Result<Self, NetworkError> {
        let refused = |error: String| NetworkError::Model(error);
        let environment = runtime.environment.clone();
        let builder = Session::builder(&environment).map_err(|error| refused(error.to_string()))?;
        let builder = builder
            .with_intra_threads(1)
            .map_err(|error| refused(error.to_string()))?;
        let mut builder = builder
            .with_optimization_level(GraphOptimizationLevel::All)
            .map_err(|error| refused(error.to_string()))?;
        let session = builder
            .commit_from_memory(model)
            .map_err(|error| refused(error.to_string()))?;
        let found = session
            .metadata()
            .ok()
            .and_then(|facts| facts.custom(VERSION_FACT));
        if found.as_deref() != Some(VERSION.to_string().as_str()) {
            let found = found.unwrap_or_else(|| "unknown".to_owned());
            return Err(NetworkError::Version { found });
        }
        Ok(Self {
            session,
            _environment: environment,
        })
    }

    /// What the model says of itself under this name.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<String> {
        self.session.metadata().ok()?.custom(name)
    }

    /// Touches of each group until each horizon, from its history.
    pub fn forecast<'a>(
        &mut self,
        histories: impl IntoIterator<Item = &'a Codes>,
    ) -> Result<Vec<[f32; HORIZONS]>, NetworkError> {
        let mut histories = histories.into_iter().peekable();
        let mut forecasts = Vec::new();
        while histories.peek().is_some() {
            let batch: Vec<&Codes> = histories.by_ref().take(BATCH).collect();
            self.batch(&batch, &mut forecasts)?;
        }
        Ok(forecasts)
    }

    /// What is forecast of each of these groups, as the engine asks and is told.
    pub fn forecast_groups(
        &mut self,
        groups: &[GroupHistory],
    ) -> Result<Vec<GroupForecast>, NetworkError> {
        let all = self.forecast(groups.iter().map(|one| &one.codes))?;
        let pairs = groups.iter().zip(all);
        let forecasts = pairs.map(|(one, touches)| GroupForecast {
            first: one.first,
            touches,
        });
        Ok(forecasts.collect())
    }

    fn batch(
        &mut self,
        histories: &[&Codes],
        forecasts: &mut Vec<[f32; HORIZONS]>,
    ) -> Result<(), NetworkError> {
        let failed = |error: ort::Error| NetworkError::Forecast(error.to_string());
        let mut numbers = Vec::with_capacity(histories.len() * NETWORK_STEPS * FEATURES);
        let mut naive = Vec::with_capacity(histories.len() * HORIZONS);
        for codes in histories {
            numbers.extend((0..NETWORK_STEPS).flat_map(|at| features(at, codes)));
            naive.extend(naive_logs(codes));
        }
        let shape = [histories.len(), NETWORK_STEPS, FEATURES];
        let history = Tensor::from_array((shape, numbers)).map_err(failed)?;
        let shape = [histories.len(), HORIZONS];
        let naive = Tensor::from_array((shape, naive)).map_err(failed)?;
        let inputs = ort::inputs![INPUT => history, NAIVE_INPUT => naive];
        let outputs = self.session.run(inputs).map_err(failed)?;
        let output = outputs
            .get(OUTPUT)
            .ok_or_else(|| NetworkError::Forecast(format!("there is no output `{OUTPUT}`")))?;
        let (_, numbers) = output.try_extract_tensor::<f32>().map_err(failed)?;
        let rows = numbers.chunks_exact(HORIZONS);
        if rows.len() != histories.len() || !rows.remainder().is_empty() {
            let count = numbers.len();
            let error = format!("{count} numbers came for {} histories", histories.len());
            return Err(NetworkError::Forecast(error));
        }
        forecasts.extend(rows.map(|row| std::array::from_fn(|at| row[at])));
        Ok(())
    }
}
