//! `RUN --device`: a request for a device by its CDI name. Read and checked so that a
//! build can name what it refuses.

use super::InstructionError;
use crate::dockerfile::{csv, mount, suggest};

/// One `--device`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRequest {
    /// The device's name as written.
    pub name: String,
    /// Without the device the build fails.
    pub required: bool,
}

impl DeviceRequest {
    pub(super) fn of(value: &str) -> Result<Self, InstructionError> {
        let mut name: Option<String> = None;
        let mut required = false;
        for field in csv::fields(value).map_err(InstructionError::DeviceCsv)? {
            let (key, value) = match field.split_once('=') {
                Some((key, value)) => (key.to_lowercase(), Some(value)),
                None => (field.to_lowercase(), None),
            };
            match (key.as_str(), value) {
                ("required", None) => required = true,
                ("required", Some(value)) => {
                    required = mount::boolean(value).ok_or_else(|| invalid(&field, &key))?;
                }
                ("name", Some(value)) if name.is_none() => name = Some(value.to_owned()),
                // A name may itself hold a `=`, as in `vendor/class=gpu`.
                _ if name.is_none() => name = Some(field),
                _ => return Err(invalid(&field, &key)),
            }
        }
        Ok(Self {
            name: name.unwrap_or_default(),
            required,
        })
    }
}

fn invalid(field: &str, key: &str) -> InstructionError {
    InstructionError::DeviceField {
        field: field.to_owned(),
        suggestion: suggest::nearest(key, &["name", "required"]),
    }
}
