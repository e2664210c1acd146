//! A model becomes a file's bytes.

use prost::Message;

use super::proto::{
    Attribute, AttributeKind, DataKind, Dimension, Graph, Model as Proto, Node, Opset, Property,
    Shape, Size, Tensor, TensorType, Type, ValueInfo,
};
use super::{Model, VERSION_KEY};
use crate::weights::{GATE_ROWS, Weights};
use tier_network::contract::{
    FEATURES, HIDDEN, HORIZONS, INPUT, LOG_RANGE, NAIVE_INPUT, NETWORK_STEPS, OUTPUT, VERSION,
};

/// Version of the operators: the GRU of 14 is in every runtime that the daemon opens.
pub(super) const OPSET: i64 = 14;
/// Version of the format.
pub(super) const IR_VERSION: i64 = 8;
/// Names of the tensors that are learned.
pub(super) const GRU_INPUT: &str = "gru.w";
pub(super) const GRU_RECURRENT: &str = "gru.r";
pub(super) const GRU_BIASES: &str = "gru.b";
pub(super) const HEAD: &str = "head.w";
pub(super) const HEAD_BIAS: &str = "head.b";
/// And of those that are not.
const DIRECTION: &str = "direction";
const LOG_MIN: &str = "log.min";
const LOG_MAX: &str = "log.max";

pub(super) fn model(model: &Model) -> Vec<u8> {
    let version = (VERSION_KEY.to_owned(), VERSION.to_string());
    let others = model.facts.clone().into_iter();
    let facts = std::iter::once(version).chain(others.filter(|(key, _)| key != VERSION_KEY));
    let proto = Proto {
        ir_version: IR_VERSION,
        opset_import: vec![Opset {
            domain: String::new(),
            version: OPSET,
        }],
        producer_name: "tierd-learn".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph(&model.weights)),
        metadata_props: facts.map(|(key, value)| Property { key, value }).collect(),
    };
    proto.encode_to_vec()
}

fn graph(weights: &Weights) -> Graph {
    Graph {
        node: nodes(),
        name: "tierd".to_owned(),
        initializer: initializers(weights),
        input: vec![
            value(INPUT, &[NETWORK_STEPS, FEATURES]),
            value(NAIVE_INPUT, &[HORIZONS]),
        ],
        output: vec![value(OUTPUT, &[HORIZONS])],
    }
}

/// From the histories and their naive forecasts to what is expected.
pub(super) fn nodes() -> Vec<Node> {
    let time_first = ints("perm", &[1, 0, 2]);
    let gru = vec![int("hidden_size", HIDDEN), int("linear_before_reset", 1)];
    vec![
        node("Transpose", &[INPUT], &["steps"], vec![time_first]),
        node(
            "GRU",
            &["steps", GRU_INPUT, GRU_RECURRENT, GRU_BIASES],
            &["", "last"],
            gru,
        ),
        node("Squeeze", &["last", DIRECTION], &["state"], Vec::new()),
        node(
            "Gemm",
            &["state", HEAD, HEAD_BIAS],
            &["off"],
            vec![int("transB", 1)],
        ),
        node("Add", &[NAIVE_INPUT, "off"], &["unbounded"], Vec::new()),
        node(
            "Clip",
            &["unbounded", LOG_MIN, LOG_MAX],
            &["logs"],
            Vec::new(),
        ),
        node("Exp", &["logs"], &[OUTPUT], Vec::new()),
    ]
}

fn initializers(weights: &Weights) -> Vec<Tensor> {
    let biases: Vec<f32> = [&weights.input_bias, &weights.recurrent_bias]
        .into_iter()
        .flatten()
        .copied()
        .collect();
    vec![
        floats(GRU_INPUT, &[1, GATE_ROWS, FEATURES], &weights.input),
        floats(GRU_RECURRENT, &[1, GATE_ROWS, HIDDEN], &weights.recurrent),
        floats(GRU_BIASES, &[1, 2 * GATE_ROWS], &biases),
        floats(HEAD, &[HORIZONS, HIDDEN], &weights.head),
        floats(HEAD_BIAS, &[HORIZONS], &weights.head_bias),
        floats(LOG_MIN, &[], &LOG_RANGE[..1]),
        floats(LOG_MAX, &[], &LOG_RANGE[1..]),
        Tensor {
            dims: vec![1],
            data_type: DataKind::Int64.into(),
            name: DIRECTION.to_owned(),
            raw_data: 0_i64.to_le_bytes().to_vec(),
        },
    ]
}

fn node(op: &str, input: &[&str], output: &[&str], attribute: Vec<Attribute>) -> Node {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Node {
        input: owned(input),
        output: owned(output),
        name: op.to_lowercase(),
        op_type: op.to_owned(),
        attribute,
    }
}

/// A size as ONNX has them.
pub(super) fn size(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

fn int(name: &str, value: usize) -> Attribute {
    Attribute {
        name: name.to_owned(),
        kind: AttributeKind::Int.into(),
        int: size(value),
        ints: Vec::new(),
    }
}

fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute {
        name: name.to_owned(),
        kind: AttributeKind::Ints.into(),
        int: 0,
        ints: values.to_vec(),
    }
}

fn floats(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    Tensor {
        dims: shape.iter().copied().map(size).collect(),
        data_type: DataKind::Float.into(),
        name: name.to_owned(),
        raw_data: values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    }
}

/// An input or output: a batch of tensors of this shape.
fn value(name: &str, shape: &[usize]) -> ValueInfo {
    let batch = Size::Name("batch".to_owned());
    let sizes = shape.iter().map(|&of| Size::Value(size(of)));
    let dim = std::iter::once(batch).chain(sizes);
    let tensor = TensorType {
        element: DataKind::Float.into(),
        shape: Some(Shape {
            dim: dim.map(|size| Dimension { size: Some(size) }).collect(),
        }),
    };
    ValueInfo {
        name: name.to_owned(),
        of: Some(Type {
            tensor: Some(tensor),
        }),
    }
}
