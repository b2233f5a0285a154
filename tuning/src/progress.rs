//! A progress bar on the terminal, and nothing where there is none.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Redrawn at most so often.
const TICK: Duration = Duration::from_millis(100);

/// A bar of so many `unit`s, hidden unless standard error is a terminal.
pub(crate) fn bar(total: u64, unit: &str) -> ProgressBar {
    let template = format!("{{elapsed_precise}} {{bar:30}} {{human_pos}}/{{human_len}} {unit}, {{msg}} (eta {{eta}})");
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// A number of records with its rate, for a bar's message and for the last line.
pub(crate) fn rate(records: u64, elapsed: Duration) -> String {
    let per_second = records as f64 / elapsed.as_secs_f64().max(1e-9);
    format!("{records} records, {:.2} million/s", per_second / 1e6)
}
