//! What the kills and cuts have shown, as text that says where and how it was measured.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use super::Plan;

/// What went wrong on the way to the strategy. All of it must be zero but what is declared.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) undeclared: usize,
    pub(super) duplicates: usize,
    pub(super) unknown: usize,
}

/// Times of one kind.
#[derive(Default)]
pub(super) struct Times(pub(super) Vec<Duration>);

impl Times {
    fn percentile(&self, of_100: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get((sorted.len() * of_100).div_ceil(100).saturating_sub(1).min(last)).copied().unwrap_or_default()
    }
    fn verdict(&self, of_100: usize, limit: Duration) -> &'static str {
        match self.percentile(of_100) {
            _ if self.0.is_empty() => "not measured",
            time if time <= limit => "met",
            _ => "missed",
        }
    }
    fn line(&self) -> String {
        let ms = |of_100| self.percentile(of_100).as_secs_f64() * 1e3;
        format!("n {}, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", self.0.len(), ms(50), ms(99), ms(100))
    }
}

#[derive(Default)]
pub(super) struct Figures {
    pub(super) kills: u64,
    pub(super) kills_in_rebuild: u64,
    pub(super) cuts: u64,
    pub(super) messages: u64,
    pub(super) records: usize,
    pub(super) declared: usize,
    pub(super) wrong: Wrong,
    /// From starting the new engine to the first record that the strategy had not seen, by the place in the day.
    pub(super) recovery: [Times; 4],
    /// From the kill to the strategy being told that its writer is silent.
    pub(super) death: Times,
    /// From the reset to data of the other address.
    pub(super) failover: Times,
}

/// First line of a command's answer.
fn says(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output();
    output.map_or_else(|_| "?".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Figures {
    pub(super) fn report(&self, plan: &Plan, took: Duration) -> String {
        let mut text = String::from("engines killed and lines cut under one strategy that follows both rings\n");
        self.say(plan, took, &mut text).expect("a string takes everything");
        text
    }

    fn say(&self, plan: &Plan, took: Duration, text: &mut String) -> std::fmt::Result {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu =
            cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |(_, cpu)| cpu);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("?");
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        writeln!(text, "commit {}, {}", says("git", &["rev-parse", "--short", "HEAD"]), says("date", &["-u", "+%F"]))?;
        writeln!(text, "host: {}, {} cores, {cpu}, load {load}", says("uname", &["-sr"]), says("nproc", &[]))?;
        writeln!(
            text,
            "command: TICKLANE_KILLS={} TICKLANE_CUTS={} TICKLANE_DAYS={} TICKLANE_DAY_MESSAGES={} TICKLANE_SEED={} \
             cargo test -p ticklane-bench --test system engines_are_killed ({} s, {profile} profile)",
            plan.kills,
            plan.cuts,
            plan.days,
            plan.day_messages,
            plan.seed,
            took.as_secs()
        )?;
        writeln!(
            text,
            "{} messages, {} records seen; {} kills ({} of them while the day was replayed), {} resets at random bytes",
            self.messages, self.records, self.kills, self.kills_in_rebuild, self.cuts
        )?;
        let Wrong { undeclared, duplicates, unknown } = self.wrong;
        writeln!(
            text,
            "undeclared losses {undeclared}, duplicates {duplicates}, torn or unknown records {unknown}; losses declared {} \
             (the strategy was lapped)",
            self.declared
        )?;
        let all = Times(self.recovery.iter().flat_map(|times| &times.0).copied().collect());
        let goal = all.verdict(99, Duration::from_secs(1));
        writeln!(text, "recovery, from starting the engine to the first new record: {}", all.line())?;
        writeln!(text, "  goal: p99 <= 1000 ms up to a million messages of the day: {goal}")?;
        for (quarter, times) in self.recovery.iter().enumerate().filter(|(_, times)| !times.0.is_empty()) {
            let day = plan.day_messages;
            writeln!(text, "  killed in quarter {} of a day of {day} messages: {}", quarter + 1, times.line())?;
        }
        let limit = Duration::from_millis(250);
        for (what, times) in
            [("death noticed by the strategy", &self.death), ("reset to data of the other address", &self.failover)]
        {
            writeln!(text, "{what}: {} (goal <= 250 ms, all: {})", times.line(), times.verdict(100, limit))?;
        }
        Ok(())
    }
}
