use prost::Message;

use super::*;

fn model() -> Model {
    let facts = [("tierd.trained".to_owned(), "in a test".to_owned())];
    Model {
        weights: Weights::fresh(3),
        facts: facts.into(),
    }
}

/// Why a model that was changed is refused.
fn refused(change: impl FnOnce(&mut proto::Model)) -> String {
    let mut proto = proto::Model::decode(write::model(&model()).as_slice()).unwrap();
    change(&mut proto);
    read::model(&proto.encode_to_vec()).unwrap_err()
}

#[test]
fn a_model_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    model().write(&path).unwrap();
    assert_eq!(Model::read(&path).unwrap(), model());
    let names: Vec<_> = folder.path().read_dir().unwrap().collect();
    assert_eq!(names.len(), 1, "nothing is left beside it");
}

#[test]
fn other_shapes_graphs_and_versions_are_refused_by_name() {
    let shape = refused(|model| model.graph.as_mut().unwrap().initializer[1].dims[2] = 16);
    assert!(
        shape.contains("gru.r") && shape.contains("[1, 144, 16]"),
        "{shape}"
    );
    let bytes = refused(|model| {
        model.graph.as_mut().unwrap().initializer[0]
            .raw_data
            .truncate(8);
    });
    assert!(
        bytes.contains("gru.w") && bytes.contains("8 bytes"),
        "{bytes}"
    );
    let gone = refused(|model| drop(model.graph.as_mut().unwrap().initializer.remove(3)));
    assert!(gone.contains("head.w"), "{gone}");
    let graph = refused(|model| model.graph.as_mut().unwrap().node[1].op_type = "LSTM".to_owned());
    assert!(graph.contains("graph"), "{graph}");
    let opset = refused(|model| model.opset_import[0].version = 22);
    assert!(opset.contains("22"), "{opset}");
    let version = refused(|model| model.metadata_props[0].value = "1".to_owned());
    assert!(
        version.contains("of version 1, and wanted is 2"),
        "{version}"
    );
    let none = refused(|model| model.metadata_props.clear());
    assert!(none.contains("does not say its version"), "{none}");
    let numbers = refused(|model| {
        model.graph.as_mut().unwrap().initializer[4].raw_data[..4]
            .copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert!(numbers.contains("numbers"), "{numbers}");
}

#[test]
fn garbage_is_refused_with_its_name_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("garbage.onnx");
    for garbage in [&b"no protobuf at all"[..], b"", &[0xff; 64]] {
        std::fs::write(&path, garbage).unwrap();
        let error = Model::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("garbage.onnx") && error.contains("no ONNX file"),
            "{error}"
        );
        assert!(error.contains("tierd-learn base"), "{error}");
    }
    // Cut anywhere, a model is refused.
    let whole = write::model(&model());
    for length in (0..whole.len()).step_by(97) {
        assert!(
            read::model(&whole[..length]).is_err(),
            "cut to {length} bytes"
        );
    }
    let error = Model::read(&folder.path().join("absent"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot read") && error.contains("absent"),
        "{error}"
    );
}
