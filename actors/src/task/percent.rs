//! Progress in one number and one line, as people are told it.

use keepwell_messages::{Progress, Stage};

/// Where the stages lie on the way from 0 to 100: storing what is left after the source was read is short.
const READ_AT: u8 = 95;
const STORED_AT: u8 = 99;
/// Less than this until the totals are known: what is counted so far may be a small part.
const UNKNOWN_MAX: u8 = 50;

/// The percentage of one attempt, which never falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percent {
    highest: u8,
}

impl Percent {
    /// The percentage of the whole attempt, 0 to 100, and a line such as `Compressing: 45/100 files (45%)`,
    /// whose own percentage is that of its stage.
    pub fn of(&mut self, progress: &Progress) -> (u8, String) {
        let stage = of_stage(progress);
        let scaled = |to: u8| (u64::from(stage) * u64::from(to) / 100) as u8;
        let overall = match progress.stage {
            Stage::Preparing => 0,
            Stage::Compressing | Stage::Restoring if !progress.totals_final => scaled(UNKNOWN_MAX),
            Stage::Compressing | Stage::Restoring => scaled(READ_AT),
            Stage::Uploading => READ_AT,
            Stage::Verifying => STORED_AT,
        };
        self.highest = self.highest.max(overall);
        (self.highest, message(progress, stage))
    }
}

/// The part of its stage that is done, by bytes where there are any.
fn of_stage(progress: &Progress) -> u8 {
    let (done, total) = match progress.bytes_total {
        0 => (progress.files_done, progress.files_total),
        total => (progress.bytes_done, total),
    };
    match total {
        0 => 0,
        total => (u128::from(done.min(total)) * 100 / u128::from(total)) as u8,
    }
}

fn message(progress: &Progress, percent: u8) -> String {
    let Progress { files_done, files_total, .. } = progress;
    let files = format!("{files_done}/{files_total} files ({percent}%)");
    match progress.stage {
        Stage::Preparing => "Preparing".into(),
        Stage::Compressing => format!("Compressing: {files}"),
        Stage::Uploading => format!("Uploading: {} stored", bytes(progress.bytes_stored)),
        Stage::Restoring => format!("Restoring: {files}"),
        Stage::Verifying => format!("Verifying: {files}"),
    }
}

/// Three digits and a unit of 1024.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(stage: Stage, files: (u64, u64), bytes: (u64, u64), totals_final: bool) -> Progress {
        Progress {
            stage,
            paused: false,
            files_done: files.0,
            files_total: files.1,
            bytes_done: bytes.0,
            bytes_total: bytes.1,
            totals_final,
            bytes_new: 0,
            bytes_stored: 3 << 20,
            errors: 0,
            bytes_per_second: 0,
            seconds_left: None,
        }
    }

    #[test]
    fn the_line_and_the_number_are_those_of_the_table() {
        let cases = [
            (progress(Stage::Preparing, (0, 0), (0, 0), false), 0, "Preparing"),
            (progress(Stage::Compressing, (45, 100), (45, 100), true), 42, "Compressing: 45/100 files (45%)"),
            (progress(Stage::Compressing, (9, 10), (10, 10), false), 50, "Compressing: 9/10 files (100%)"),
            (progress(Stage::Compressing, (1, 4), (0, 0), true), 23, "Compressing: 1/4 files (25%)"),
            (progress(Stage::Uploading, (4, 4), (9, 9), true), 95, "Uploading: 3.00 MiB stored"),
            (progress(Stage::Restoring, (1, 2), (1, 2), true), 47, "Restoring: 1/2 files (50%)"),
            (progress(Stage::Verifying, (2, 2), (0, 0), true), 99, "Verifying: 2/2 files (100%)"),
            (
                progress(Stage::Compressing, (0, 1), (u64::MAX, u64::MAX), true),
                95,
                "Compressing: 0/1 files (100%)",
            ),
        ];
        for (progress, percent, message) in cases {
            assert_eq!(Percent::default().of(&progress), (percent, message.to_owned()), "{progress:?}");
        }
    }

    #[test]
    fn the_number_never_falls() {
        let mut percent = Percent::default();
        let steps = [((10, 20), false), ((10, 200), false), ((100, 1000), true), ((1000, 1000), true)];
        let told: Vec<u8> = steps
            .map(|(bytes, is_final)| percent.of(&progress(Stage::Compressing, (0, 1), bytes, is_final)).0)
            .into();
        assert_eq!(told, [25, 25, 25, 95]);
    }

    #[test]
    fn sizes_have_three_digits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10 << 20, "10.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (size, text) in cases {
            assert_eq!(bytes(size), text);
        }
    }
}
