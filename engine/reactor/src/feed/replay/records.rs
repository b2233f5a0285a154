//! A feed from records of the bus: a journal, or a DBN file.

use std::path::Path;

use journal::import::ImportError;
use journal::replay::{Republisher, Source, SourceError, SourceOptions, Start, Step};
use shm_abi::layout::{FeedState, State};

use super::{Driver, Fault};
use crate::config::ReplayPlan;
use crate::feed::FeedTask;
use crate::rt;

/// Steps between two moves of the heads, when nothing is waited for. A fraction of the smallest ring.
const STEPS_PER_TURN: u32 = 256;

/// Plays all of it; gives what there is to say of its end.
pub(super) async fn play(task: &mut FeedTask, plan: &ReplayPlan, driver: &mut Driver) -> Result<String, Fault> {
    let failed = |error: &dyn std::fmt::Display| Fault::Source(error.to_string());
    let mut source = open(&plan.file, plan.from_ns).await?;
    driver.set_total(task, source.total());
    let instruments = task.lane.borrow().out.writer.board.rows();
    let mut republisher = Republisher::new(instruments);
    {
        let out = &mut task.lane.borrow_mut().out;
        out.writer.set_state(State::Live);
        out.set_state(FeedState::Live);
    }
    let mut steps = 0;
    // An event is played as a whole: what is due is its first step.
    let mut within = false;
    let mut bad = 0_u64;
    loop {
        // The step lends from the source, whose place is told behind the turn.
        let waiting = match source.next() {
            Err(SourceError::Import(ImportError::Record { .. })) => {
                bad += 1;
                continue;
            }
            Err(error) => return Err(failed(&error)),
            Ok(None) => break,
            Ok(Some(step)) => {
                let due_ns = step.published_ns().filter(|_| !within);
                let waiting = due_ns.filter(|due_ns| !driver.is_due(*due_ns));
                if let Some(due_ns) = waiting {
                    republisher.publish_heads(&mut task.lane.borrow_mut().out.writer);
                    task.lane.borrow_mut().wake();
                    driver.due(task, due_ns).await?;
                }
                within = match step {
                    Step::Record { whole, .. } | Step::Past { whole, .. } => !whole,
                    Step::Missing(_) | Step::Instrument(_) => within,
                };
                republisher.take(&step, &mut task.lane.borrow_mut().out.writer).map_err(|error| failed(&error))?;
                waiting.is_some()
            }
        };
        steps += 1;
        if (waiting || steps >= STEPS_PER_TURN) && !within {
            steps = 0;
            republisher.publish_heads(&mut task.lane.borrow_mut().out.writer);
            driver.after(task, source.position()).await?;
        }
    }
    republisher.finish(&mut task.lane.borrow_mut().out.writer);
    driver.after(task, source.position()).await?;
    task.lane.borrow_mut().out.set_state(FeedState::EndOfSession);
    let counts = republisher.counts();
    let [orders, market] = counts.records;
    let bad = if bad > 0 { format!("; {bad} records could not be understood") } else { String::new() };
    Ok(format!("end of recording after {orders} records of orders and {market} of the market{bad}"))
}

async fn open(path: &Path, from_ns: Option<u64>) -> Result<Source, Fault> {
    let owned = path.to_owned();
    let options = SourceOptions { start: from_ns.map_or(Start::Oldest, Start::Time), ..SourceOptions::default() };
    rt::offload(move || Source::open(&owned, &options)).await.map_err(|error| Fault::Source(error.to_string()))
}
