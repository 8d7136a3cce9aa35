//! How Go writes values, for serde's attributes: sets as maps of empty objects, nothing as `null`, zero as absence.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default: Go writes it for a nil slice or map.
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

pub(super) fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// A set of strings as Go's `map[string]struct{}`: `{"80/tcp":{}}`.
pub(super) mod empty_object_keys {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::de::IgnoredAny;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize)]
    struct Empty {}

    pub(in crate::image) fn serialize<S: Serializer>(
        keys: &BTreeSet<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let map: BTreeMap<&String, Empty> = keys.iter().map(|key| (key, Empty {})).collect();
        map.serialize(serializer)
    }

    pub(in crate::image) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        let map = Option::<BTreeMap<String, IgnoredAny>>::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}
