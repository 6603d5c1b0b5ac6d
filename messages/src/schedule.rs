//! When an item is to be backed up, as its user wrote it.
//!
//! Nothing here is checked: the actors parse it and say what is wrong with it.

use serde::{Deserialize, Serialize};

/// A schedule in its user's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ScheduleText {
    /// A cron line of five fields, `every 4h`, `daily 02:00`, `weekly sun 03:30` or `monthly 1 04:00`.
    pub spec: String,
    /// The IANA name of the zone whose civil time `spec` is in, such as `Europe/Berlin`.
    pub time_zone: String,
    /// A task starts at most this many seconds after its due time, each by a different delay, so that items
    /// with the same due time do not start together. Absent: it starts at its due time.
    pub jitter_seconds: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::ScheduleText;

    fn cases() -> [ScheduleText; 2] {
        [Some(900), None].map(|jitter_seconds| ScheduleText {
            spec: "weekly sun 03:30".into(),
            time_zone: "America/Argentina/Buenos_Aires".into(),
            jitter_seconds,
        })
    }

    #[test]
    fn schedule_text_survives_json_and_bincode() {
        for text in cases() {
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(serde_json::from_str::<ScheduleText>(&json).unwrap(), text, "{json}");
            let config = bincode::config::standard();
            let bytes = bincode::serde::encode_to_vec(&text, config).unwrap();
            let (decoded, read) =
                bincode::serde::decode_from_slice::<ScheduleText, _>(&bytes, config).unwrap();
            assert_eq!((decoded, read), (text, bytes.len()));
        }
    }

    #[test]
    fn jitter_may_be_left_out_and_a_misspelt_field_is_refused() {
        let without = r#"{"spec":"every 4h","time_zone":"UTC"}"#;
        assert_eq!(serde_json::from_str::<ScheduleText>(without).unwrap().jitter_seconds, None);
        let misspelt = r#"{"spec":"every 4h","time_zone":"UTC","jitter":60}"#;
        assert!(serde_json::from_str::<ScheduleText>(misspelt).unwrap_err().to_string().contains("jitter"));
    }
}
