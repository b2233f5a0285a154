//! Whether the frames of a topic follow one another.
//!
//! Source: gateway/PROTOCOL.md, `seq` and `prev`; decisions.md 2.

/// What is known of a topic's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing: its snapshot is due.
    Fresh,
    /// A loss was declared: anything may follow.
    Open,
    /// Everything up to this number, which need not be an event's own: a cursor's, or the last of a declared gap.
    UpTo(u64),
    /// The same, and what follows was asked for: a snapshot instead of it must be preceded by a gap that says why.
    Resumed(u64),
    /// The event with this number came last.
    At(u64),
}

/// What a frame means for its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It follows.
    Fits,
    /// It was known already.
    Known,
    /// Something between is missing, and nobody said so.
    Hole {
        /// The number that should have been named as the one before; `None`: a snapshot should have come first.
        expected: Option<u64>,
        /// The number that was named.
        got: u64,
    },
}

impl Link {
    /// The number up to which everything is known, if there is one.
    pub(crate) fn known(self) -> Option<u64> {
        match self {
            Link::Fresh | Link::Open => None,
            Link::UpTo(seq) | Link::Resumed(seq) | Link::At(seq) => Some(seq),
        }
    }

    /// An update with number `seq` after `prev`.
    pub(crate) fn update(&mut self, prev: u64, seq: u64) -> Verdict {
        let verdict = match *self {
            Link::Fresh => Verdict::Hole { expected: None, got: prev },
            Link::Open => Verdict::Fits,
            Link::UpTo(known) | Link::Resumed(known) if seq <= known => return Verdict::Known,
            Link::UpTo(known) | Link::Resumed(known) if prev <= known => Verdict::Fits,
            Link::At(known) if prev == known && seq > known => Verdict::Fits,
            Link::UpTo(known) | Link::Resumed(known) | Link::At(known) => {
                Verdict::Hole { expected: Some(known), got: prev }
            }
        };
        *self = Link::At(seq);
        verdict
    }

    /// A snapshot of a channel of state; `prev` when it stands for updates. It may jump ahead, since only the newest
    /// state counts, but not back.
    pub(crate) fn state(&mut self, prev: Option<u64>, seq: u64) -> Verdict {
        let verdict = match (*self, prev) {
            (Link::At(known), Some(prev)) if prev != known => Verdict::Hole { expected: Some(known), got: prev },
            (Link::UpTo(known), Some(prev)) if prev > known => Verdict::Hole { expected: Some(known), got: prev },
            (Link::At(known), None) if seq < known => Verdict::Hole { expected: Some(known), got: seq },
            _ => Verdict::Fits,
        };
        *self = Link::At(seq);
        verdict
    }

    /// A snapshot of trades. One without trades is the end of what was resumed: nothing is missing up to its number, and
    /// the next update names it. Any other holds the newest trades only, so that it must not jump ahead unless something
    /// said so before.
    pub(crate) fn trades(&mut self, seq: u64, is_empty: bool) -> Verdict {
        let verdict = match *self {
            // The last event of the topic may lie before the cursor that it goes on from.
            Link::Resumed(_) if is_empty => Verdict::Fits,
            Link::At(known) | Link::Resumed(known) if seq < known || seq > known && !is_empty => {
                Verdict::Hole { expected: Some(known), got: seq }
            }
            _ => Verdict::Fits,
        };
        *self = match *self {
            Link::At(_) | Link::Resumed(_) if is_empty => Link::At(seq),
            _ => Link::UpTo(seq),
        };
        verdict
    }

    /// A gap of this topic, from the number after `prev` to `last`.
    pub(crate) fn gap(&mut self, prev: u64, last: u64) -> Verdict {
        let verdict = match *self {
            Link::At(known) if prev != known => Verdict::Hole { expected: Some(known), got: prev },
            Link::UpTo(known) | Link::Resumed(known) if prev > known => {
                Verdict::Hole { expected: Some(known), got: prev }
            }
            _ => Verdict::Fits,
        };
        *self = Link::UpTo(last);
        verdict
    }

    /// It was subscribed again although it was subscribed: what is known stays, and a snapshot may come.
    pub(crate) fn loosen(&mut self) {
        if let Some(known) = self.known() {
            *self = Link::UpTo(known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    enum Step {
        Update(u64, u64),
        State(u64),
        MergedState(u64, u64),
        Trades(u64),
        NoTrades(u64),
        Gap(u64, u64),
    }
    use Step::*;

    const FITS: Verdict = Verdict::Fits;

    fn hole(expected: u64, got: u64) -> Verdict {
        Verdict::Hole { expected: Some(expected), got }
    }

    #[test]
    fn what_follows_what() {
        let table: &[(&str, Link, Step, Verdict, Link)] = &[
            ("snapshot first", Link::Fresh, State(5), FITS, Link::At(5)),
            ("no snapshot", Link::Fresh, Update(4, 5), Verdict::Hole { expected: None, got: 4 }, Link::At(5)),
            ("next", Link::At(5), Update(5, 9), FITS, Link::At(9)),
            ("one missing", Link::At(5), Update(7, 9), hole(5, 7), Link::At(9)),
            ("one too many", Link::At(5), Update(3, 9), hole(5, 3), Link::At(9)),
            ("twice", Link::At(5), Update(5, 5), hole(5, 5), Link::At(5)),
            ("after a declared loss", Link::Open, Update(70, 90), FITS, Link::At(90)),
            ("a newer snapshot", Link::At(5), State(50), FITS, Link::At(50)),
            ("an older snapshot", Link::At(5), State(4), hole(5, 4), Link::At(4)),
            ("merged into a snapshot", Link::At(5), MergedState(5, 50), FITS, Link::At(50)),
            ("merged, and one missing", Link::At(5), MergedState(6, 50), hole(5, 6), Link::At(50)),
            ("merged after a gap, and one missing", Link::UpTo(5), MergedState(6, 50), hole(5, 6), Link::At(50)),
            ("trades go on", Link::UpTo(100), Update(80, 105), FITS, Link::At(105)),
            ("trades go on, one missing", Link::UpTo(100), Update(103, 105), hole(100, 103), Link::At(105)),
            ("resumed", Link::Resumed(100), Update(100, 105), FITS, Link::At(105)),
            ("resumed, one missing", Link::Resumed(100), Update(101, 105), hole(100, 101), Link::At(105)),
            ("resumed, known already", Link::Resumed(100), Update(80, 100), Verdict::Known, Link::Resumed(100)),
            ("a snapshot instead, unexplained", Link::Resumed(100), Trades(105), hole(100, 105), Link::UpTo(105)),
            ("a snapshot that says the same", Link::Resumed(100), Trades(100), FITS, Link::UpTo(100)),
            ("a snapshot, explained", Link::Open, Trades(105), FITS, Link::UpTo(105)),
            ("trades jump", Link::At(100), Trades(105), hole(100, 105), Link::UpTo(105)),
            ("the end of a resume", Link::At(100), NoTrades(105), FITS, Link::At(105)),
            ("a resume without trades", Link::Resumed(100), NoTrades(105), FITS, Link::At(105)),
            ("a resume behind the topic's last trade", Link::Resumed(100), NoTrades(95), FITS, Link::At(95)),
            ("no trades at all", Link::Fresh, NoTrades(105), FITS, Link::UpTo(105)),
            ("a gap", Link::At(5), Gap(5, 60), FITS, Link::UpTo(60)),
            ("a gap that begins late", Link::At(5), Gap(6, 60), hole(5, 6), Link::UpTo(60)),
            ("a gap after a snapshot", Link::UpTo(50), Gap(40, 60), FITS, Link::UpTo(60)),
            ("a gap after a snapshot, late", Link::UpTo(50), Gap(55, 60), hole(50, 55), Link::UpTo(60)),
        ];
        for (name, mut link, step, verdict, after) in table.iter().copied() {
            let got = match step {
                Update(prev, seq) => link.update(prev, seq),
                State(seq) => link.state(None, seq),
                MergedState(prev, seq) => link.state(Some(prev), seq),
                Trades(seq) => link.trades(seq, false),
                NoTrades(seq) => link.trades(seq, true),
                Gap(prev, last) => link.gap(prev, last),
            };
            assert_eq!((got, link), (verdict, after), "case: {name}");
        }
    }
}
