//! How people write quantities: `10s`, `64MiB`.
//!
//! Owns: reading and writing them, so that what is written reads back as the same value.

/// A length of time: `250ms`, `10s`, `1h 30m`.
pub(super) mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(in crate::config) fn serialize<S: Serializer>(
        value: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map_err(|error| {
            de::Error::custom(format!(
                "\"{text}\" is no length of time such as \"10s\": {error}"
            ))
        })
    }
}

/// A number of bytes: `64MiB` (powers of two), `64MB` (powers of ten).
pub(super) mod size {
    use bytesize::ByteSize;
    use serde::{Deserialize, Deserializer, Serializer, de};
    use tier_core::units::Bytes;

    /// The largest unit that gives a whole number, so that it reads back exactly.
    pub(in crate::config) fn format(value: Bytes) -> String {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            let bytes: u64 = 1 << shift;
            if value.0 >= bytes && value.0.is_multiple_of(bytes) {
                return format!("{}{unit}", value.0 / bytes);
            }
        }
        format!("{}B", value.0)
    }

    #[allow(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for this signature"
    )]
    pub(in crate::config) fn serialize<S: Serializer>(
        value: &Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format(*value))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        let size: ByteSize = text.parse().map_err(|error| {
            de::Error::custom(format!("\"{text}\" is no size such as \"64MiB\": {error}"))
        })?;
        Ok(Bytes(size.as_u64()))
    }
}
