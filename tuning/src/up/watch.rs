//! The moving market, in the terminal that runs it.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use shm_abi::record::kind;
use ticklane_client::{Event, Key, Lane, Options, PRICE_NONE, Reader, Wait};

use crate::error::ToolError;
use crate::event::describe;
use crate::format::{count, price, quantity};
use crate::screen::Screen;
use crate::stat::sample::{LaneSample, LaneWatch};
use crate::stat::{self, view};
use crate::table::{Align, Table};

/// Time from one view to the next.
const INTERVAL: Duration = Duration::from_millis(500);
/// Most instruments in the view, and most events below them; fewer on a small terminal.
const INSTRUMENTS_SHOWN: usize = 12;
const EVENTS_SHOWN: usize = 10;
/// Events shown for each view where the output is no terminal.
const EVENTS_LINES: usize = 3;
/// Most records looked at for each view: what came before the last few is not shown anyway.
const RECORDS_PER_VIEW: usize = 20_000;

/// A lane under watch, drawn.
#[derive(Debug)]
pub(crate) struct Watch {
    lanes: [LaneWatch; 1],
    reader: Reader,
    events: VecDeque<String>,
    screen: Option<Screen>,
    /// Address of the page, if there is a gateway.
    page: Option<String>,
}

impl Watch {
    /// Takes the terminal, if standard output is one.
    pub(crate) fn new(lane: Lane, page: Option<String>) -> Result<Watch, ToolError> {
        let reader = lane.market(Options { wait: Wait::Spin, ..Options::default() })?;
        let screen = io::stdout().is_terminal().then(Screen::enter).transpose().map_err(ToolError::output)?;
        Ok(Watch { lanes: [LaneWatch::new(lane)?], reader, events: VecDeque::new(), screen, page })
    }

    /// Watches for a moment, then shows what is to be seen. Returns whether it was not interrupted.
    ///
    /// # Errors
    /// When the engine was replaced by one that cannot be read, or the output is closed.
    pub(crate) fn step(&mut self, stop: &AtomicBool) -> Result<bool, ToolError> {
        if !stat::watch(&mut self.lanes, INTERVAL, stop) {
            return Ok(false);
        }
        self.take_events()?;
        let sample = self.lanes[0].sample();
        match &self.screen {
            Some(screen) => {
                let mut lines: Vec<String> = self.page.iter().map(|page| format!("page: {page}")).collect();
                lines.extend(view::lane(&sample));
                let events = EVENTS_SHOWN.min(Screen::rows().saturating_sub(lines.len() + 6) / 2);
                lines.push(String::new());
                lines.extend(most_traded(self.lanes[0].lane(), INSTRUMENTS_SHOWN));
                lines.push(String::new());
                lines.extend(self.events.iter().rev().take(events).rev().cloned());
                screen.draw(&lines).map_err(ToolError::output)?;
            }
            None => {
                let mut out = io::stdout().lock();
                let recent = self.events.iter().rev().take(EVENTS_LINES).rev();
                let lines = std::iter::once(summary(&sample)).chain(recent.map(|line| format!("  {line}")));
                for line in lines {
                    writeln!(out, "{line}").map_err(ToolError::output)?;
                }
                out.flush().map_err(ToolError::output)?;
                self.events.clear();
            }
        }
        Ok(true)
    }

    fn take_events(&mut self) -> Result<(), ToolError> {
        let lane = self.lanes[0].lane();
        let events = &mut self.events;
        self.reader.poll_batch(RECORDS_PER_VIEW, |event| {
            if !worth_showing(&event) {
                return;
            }
            let id = event.record().map(|record| record.head.instrument_id);
            let instrument = id.and_then(|id| lane.instruments().get(id)).map(|(_, instrument)| *instrument);
            if events.len() == EVENTS_SHOWN {
                events.pop_front();
            }
            events.push_back(describe(&event, instrument.as_ref()).text());
        })?;
        Ok(())
    }
}

/// Trades and rare things: levels and quotes go by faster than anybody reads, and stand in the table.
fn worth_showing(event: &Event<'_>) -> bool {
    let frequent = [kind::QUOTE, kind::LEVEL, kind::MARK, kind::VENUE_MESSAGE, kind::INSTRUMENT, kind::IMBALANCE];
    match event {
        Event::Record(record) => !frequent.contains(&record.head.kind),
        // A view that looks twice a second is lapped by design.
        Event::Lost(_) => false,
        _ => true,
    }
}

/// A lane in one line.
fn summary(sample: &LaneSample) -> String {
    let value = |name: &str| count(sample.counters.get(name).copied().unwrap_or(0));
    let per_second = |rate: Option<f64>| count(rate.unwrap_or(0.0).round() as u64);
    let latency = sample.receive_to_publish.as_ref().map_or("-".into(), |p| crate::format::duration(p.p50));
    format!(
        "{} {} messages {}/s market {} slots/s published {} trades {} live orders {} socket to ring p50 {latency}",
        sample.lane,
        sample.state,
        per_second(sample.messages_per_second),
        per_second(sample.market.slots_per_second),
        value("published"),
        value("trades"),
        value("live_orders"),
    )
}

/// The most traded instruments, from the board.
fn most_traded(lane: &mut Lane, most: usize) -> Vec<String> {
    use Align::{Left, Right};
    let mut rows = Vec::new();
    let instruments: Vec<_> = lane.instruments().iter().map(|(row, instrument)| (row, *instrument)).collect();
    let mut board = lane.board();
    for (at, instrument) in &instruments {
        // A row that is being written is shown at the next view.
        let Ok(row) = board.row(Key::Row(*at)) else { continue };
        let quote = row.quote();
        let price = |value| price(value, instrument.price_decimals).unwrap_or("-".into());
        let quantity = |value| quantity(value, instrument.quantity_decimals).unwrap_or("-".into());
        let (bid, ask) = (quote.bid.unwrap_or_default(), quote.ask.unwrap_or_default());
        let side = |is_there: bool, text: String| if is_there { text } else { "-".into() };
        let cells = vec![
            instrument.symbol.to_string(),
            row.status().name().into(),
            side(quote.bid.is_some(), quantity(bid.quantity)),
            side(quote.bid.is_some(), price(bid.price)),
            side(quote.ask.is_some(), price(ask.price)),
            side(quote.ask.is_some(), quantity(ask.quantity)),
            price(row.last_trade().map_or(PRICE_NONE, |trade| trade.price)),
            count(row.volume()),
            count(row.trades()),
        ];
        rows.push((row.trades(), cells));
    }
    // Stable: instruments of equal trades keep the directory's order and do not jump about.
    rows.sort_by_key(|(trades, _)| std::cmp::Reverse(*trades));
    let mut table = Table::new(&[
        ("symbol", Left),
        ("status", Left),
        ("bid size", Right),
        ("bid", Right),
        ("ask", Right),
        ("ask size", Right),
        ("last", Right),
        ("volume", Right),
        ("trades", Right),
    ]);
    for (_, cells) in rows.into_iter().take(most) {
        table.row(cells);
    }
    table.lines("  ")
}

#[cfg(test)]
mod tests {
    use shm_abi::board::Level;
    use shm_abi::layout::row;
    use ticklane_client::Side;

    use super::*;
    use crate::test_lane::TestLane;

    #[test]
    fn the_board_in_a_table() {
        let mut test = TestLane::new();
        {
            let mut update = test.writer.board.update(0);
            update.set_quote(Side::Bid, Level { price: 100_120_000_000, quantity: 300, orders: 2 });
            update.set(row::VOLUME, 12_345);
            update.set(row::TRADES, 3);
        }
        let lines = most_traded(&mut test.attach(), 5);
        let cells: Vec<&str> = lines[1].split_whitespace().collect();
        assert_eq!(cells, ["AAPL", "unknown", "300", "100.1200", "-", "-", "-", "12,345", "3"]);
        assert_eq!(most_traded(&mut test.attach(), 0).len(), 1);
    }

    #[test]
    fn a_lane_in_one_line() {
        let mut test = TestLane::new();
        test.count_messages(1_500, 1_400, 0, 100);
        let mut watch = LaneWatch::new(test.attach()).unwrap();
        let line = summary(&watch.sample());
        assert!(line.starts_with("lane0 live messages ") && line.contains("published 1,400 "), "{line}");
    }
}
