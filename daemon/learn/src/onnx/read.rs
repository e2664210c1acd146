//! A file's bytes become a model. Errors are texts that say what is wrong.

use prost::Message;

use super::proto::{DataKind, Graph, Model as Proto};
use super::write::{
    GRU_BIASES, GRU_INPUT, GRU_RECURRENT, HEAD, HEAD_BIAS, IR_VERSION, OPSET, nodes, size,
};
use super::{Model, VERSION_KEY};
use crate::weights::{GATE_ROWS, Weights};
use tier_network::contract::{FEATURES, HIDDEN, HORIZONS, VERSION};

pub(super) fn model(bytes: &[u8]) -> Result<Model, String> {
    let proto = Proto::decode(bytes).map_err(|error| format!("it is no ONNX file ({error})"))?;
    let graph = proto
        .graph
        .as_ref()
        .ok_or("it is no ONNX file (it holds no graph)")?;
    let facts = proto.metadata_props.iter();
    let mut facts: std::collections::BTreeMap<String, String> = facts
        .map(|fact| (fact.key.clone(), fact.value.clone()))
        .collect();
    match facts.remove(VERSION_KEY) {
        Some(version) if version == VERSION.to_string() => {}
        Some(version) => {
            return Err(format!(
                "it is of version {version}, and wanted is {VERSION}"
            ));
        }
        None => return Err(format!("it does not say its version ({VERSION_KEY})")),
    }
    let opset = proto.opset_import.first().map_or(0, |opset| opset.version);
    if (proto.ir_version, opset) != (IR_VERSION, OPSET) {
        return Err(format!(
            "its ir_version is {} and its opset {opset}, and wanted are {IR_VERSION} and {OPSET}",
            proto.ir_version
        ));
    }
    if graph.node != nodes() {
        return Err("its graph is not that of this version".to_owned());
    }
    let weights = weights(graph)?;
    Ok(Model { weights, facts })
}

fn weights(graph: &Graph) -> Result<Weights, String> {
    let mut input_bias = floats(graph, GRU_BIASES, &[1, 2 * GATE_ROWS])?;
    let recurrent_bias = input_bias.split_off(GATE_ROWS);
    let weights = Weights {
        input: floats(graph, GRU_INPUT, &[1, GATE_ROWS, FEATURES])?,
        recurrent: floats(graph, GRU_RECURRENT, &[1, GATE_ROWS, HIDDEN])?,
        input_bias,
        recurrent_bias,
        head: floats(graph, HEAD, &[HORIZONS, HIDDEN])?,
        head_bias: floats(graph, HEAD_BIAS, &[HORIZONS])?,
    };
    if !weights.are_finite() {
        return Err("not all of its weights are numbers".to_owned());
    }
    Ok(weights)
}

/// The numbers of a tensor, which must have this shape.
fn floats(graph: &Graph, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let tensor = graph.initializer.iter().find(|tensor| tensor.name == name);
    let tensor = tensor.ok_or_else(|| format!("it has no tensor {name:?}"))?;
    let wanted: Vec<i64> = shape.iter().copied().map(size).collect();
    if tensor.dims != wanted {
        return Err(format!(
            "its tensor {name:?} has the shape {:?}, and wanted is {wanted:?}",
            tensor.dims
        ));
    }
    if tensor.data_type != i32::from(DataKind::Float) {
        return Err(format!("its tensor {name:?} is not of f32"));
    }
    let bytes = shape.iter().product::<usize>() * size_of::<f32>();
    if tensor.raw_data.len() != bytes {
        return Err(format!(
            "its tensor {name:?} has {} bytes, and its shape {bytes}",
            tensor.raw_data.len()
        ));
    }
    let numbers = tensor.raw_data.chunks_exact(size_of::<f32>());
    Ok(numbers
        .map(|bytes| bytes.try_into().map_or(f32::NAN, f32::from_le_bytes))
        .collect())
}
