//! Scripted faults: what a venue may do wrong, on purpose and exactly once or every time.
//!
//! | text | what happens |
//! |---|---|
//! | `cut@K` | the next accepted login gets exactly K bytes after the login acceptance, then the end of the stream |
//! | `rst@K` | the same, ended by a TCP reset; bytes that the client has not read yet may be lost |
//! | `cut-list=K,K,..` or `cut-list=FILE` | each accepted login uses up the next number; `rst-list` likewise |
//! | `one-byte` | every write is one byte |
//! | `chunk=N` | every write is at most N bytes |
//! | `reject=A` or `reject=S`, `reject=A,TIMES` | logins are rejected with this letter, always or TIMES times |
//! | `silence@N` | after message N nothing more is sent on that connection, no heartbeat either; happens once |
//! | `no-login-answer`, `no-login-answer,TIMES` | login requests are ignored, always or TIMES times |

use std::collections::VecDeque;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// Most cuts in one list.
pub const MAX_CUTS: usize = 100_000;

/// One fault as it stands on the command line. See the module's table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Break connections after some bytes.
    Cuts {
        /// Bytes after the login acceptance, one number for each connection.
        at: Vec<u64>,
        /// By a TCP reset and not by the end of the stream.
        reset: bool,
    },
    /// Deliver in pieces of at most this many bytes, at least 1.
    Chunk(usize),
    /// Reject logins.
    Reject {
        /// `A` not authorised, `S` no such session.
        code: u8,
        /// How often; `u64::MAX` for always.
        times: u64,
    },
    /// Fall silent after this message.
    Silence(u64),
    /// Never answer login requests.
    NoLoginAnswer {
        /// How often; `u64::MAX` for always.
        times: u64,
    },
}

/// A fault that could not be understood: what was seen and what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// No fault has this form.
    #[error(
        "unknown fault {0:?}; use cut@K, rst@K, cut-list=K,K or cut-list=FILE, rst-list=.., one-byte, chunk=N, \
         reject=A|S[,TIMES], silence@N or no-login-answer[,TIMES]"
    )]
    Unknown(String),
    /// A number is missing, not a number, or out of its range.
    #[error("fault {fault:?}: {seen:?} is no {want}")]
    Number {
        /// The fault as given.
        fault: String,
        /// The part that should be a number.
        seen: String,
        /// What is wanted there.
        want: &'static str,
    },
    /// A list file cannot be read.
    #[error(
        "fault {fault:?}: cannot read {path}: {cause}; give numbers with commas between them, or a file of numbers"
    )]
    ListFile {
        /// The fault as given.
        fault: String,
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: String,
    },
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let unknown = || FaultError::Unknown(text.into());
        let at = text.find(['@', '=', ',']).unwrap_or(text.len());
        let (name, argument) = text.split_at(at);
        match (name, argument.split_at_checked(1)) {
            ("cut", Some(("@", k))) => Ok(Self::Cuts { at: vec![number(text, k, "byte count")?], reset: false }),
            ("rst", Some(("@", k))) => Ok(Self::Cuts { at: vec![number(text, k, "byte count")?], reset: true }),
            ("cut-list", Some(("=", list))) => Ok(Self::Cuts { at: cut_list(text, list)?, reset: false }),
            ("rst-list", Some(("=", list))) => Ok(Self::Cuts { at: cut_list(text, list)?, reset: true }),
            ("one-byte", None) => Ok(Self::Chunk(1)),
            ("chunk", Some(("=", n))) => match number(text, n, "piece size of at least 1 byte")? {
                0 => Err(FaultError::Number {
                    fault: text.into(),
                    seen: n.into(),
                    want: "piece size of at least 1 byte",
                }),
                n => Ok(Self::Chunk(usize::try_from(n).unwrap_or(usize::MAX))),
            },
            ("reject", Some(("=", code))) => {
                let (code, times) = code.split_once(',').map_or((code, None), |(code, times)| (code, Some(times)));
                match code {
                    "A" | "S" => Ok(Self::Reject { code: code.as_bytes()[0], times: times_of(text, times)? }),
                    _ => Err(unknown()),
                }
            }
            ("silence", Some(("@", n))) => Ok(Self::Silence(number(text, n, "message number")?)),
            ("no-login-answer", None) => Ok(Self::NoLoginAnswer { times: u64::MAX }),
            ("no-login-answer", Some((",", times))) => Ok(Self::NoLoginAnswer { times: times_of(text, Some(times))? }),
            _ => Err(unknown()),
        }
    }
}

fn number(fault: &str, seen: &str, want: &'static str) -> Result<u64, FaultError> {
    seen.parse().map_err(|_| FaultError::Number { fault: fault.into(), seen: seen.into(), want })
}

fn times_of(fault: &str, times: Option<&str>) -> Result<u64, FaultError> {
    times.map_or(Ok(u64::MAX), |times| number(fault, times, "number of times"))
}

/// Numbers with commas between them, or the name of a file with numbers between commas or blanks.
fn cut_list(fault: &str, list: &str) -> Result<Vec<u64>, FaultError> {
    let looks_like_numbers = list.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
    let text = match looks_like_numbers {
        true => list.to_owned(),
        false => std::fs::read_to_string(list).map_err(|error| FaultError::ListFile {
            fault: fault.into(),
            path: list.into(),
            cause: error.to_string(),
        })?,
    };
    let numbers = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty());
    let cuts: Vec<u64> =
        numbers.take(MAX_CUTS).map(|part| number(fault, part, "byte count")).collect::<Result<_, _>>()?;
    match cuts.is_empty() {
        true => Err(FaultError::Number { fault: fault.into(), seen: list.into(), want: "list of byte counts" }),
        false => Ok(cuts),
    }
}

/// What becomes of a login request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginFate {
    /// Judge it as usual.
    Judge,
    /// Reject it with this letter.
    Reject(u8),
    /// Say nothing.
    Ignore,
}

/// A connection's end, as scripted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Bytes after the login acceptance.
    pub at: u64,
    /// By a TCP reset.
    pub reset: bool,
}

/// All faults of one venue, used up by its connections.
#[derive(Debug)]
pub struct Plan {
    chunk: usize,
    left: Mutex<Left>,
}

#[derive(Debug, Default)]
struct Left {
    cuts: VecDeque<Cut>,
    rejects: VecDeque<(u8, u64)>,
    ignores: u64,
    silence: Option<u64>,
    played: u64,
}

impl Plan {
    /// Combines faults. Cuts add up; of several pieces the smallest counts, and of several silences the last.
    #[must_use]
    pub fn new(faults: &[Fault]) -> Self {
        let mut chunk = usize::MAX;
        let mut left = Left::default();
        for fault in faults {
            match fault {
                Fault::Cuts { at, reset } => left.cuts.extend(at.iter().map(|&at| Cut { at, reset: *reset })),
                Fault::Chunk(bytes) => chunk = chunk.min((*bytes).max(1)),
                Fault::Reject { code, times } => left.rejects.push_back((*code, *times)),
                Fault::Silence(message) => left.silence = Some(*message),
                Fault::NoLoginAnswer { times } => left.ignores = left.ignores.saturating_add(*times),
            }
        }
        Self { chunk, left: Mutex::new(left) }
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Left> {
        // A thread that panics cannot leave the counters half changed: every change is one assignment.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A login request has come.
    pub fn login(&self) -> LoginFate {
        let mut left = self.left();
        if left.ignores > 0 {
            left.ignores -= 1;
            left.played += 1;
            return LoginFate::Ignore;
        }
        while let Some((code, times)) = left.rejects.front_mut() {
            let code = *code;
            match times {
                0 => drop(left.rejects.pop_front()),
                times => {
                    *times -= 1;
                    left.played += 1;
                    return LoginFate::Reject(code);
                }
            }
        }
        LoginFate::Judge
    }

    /// A login has been accepted: what this connection must suffer.
    pub fn accepted(&self) -> Script {
        let cut = self.left().cuts.pop_front();
        Script { chunk: self.chunk, cut, counting: false, counted: 0 }
    }

    /// For connections that are not logged in: pieces only.
    #[must_use]
    pub fn stranger(&self) -> Script {
        Script { chunk: self.chunk, cut: None, counting: false, counted: 0 }
    }

    /// Last message before the silence; none when none is scripted or it has happened.
    pub fn silence_after(&self) -> Option<u64> {
        self.left().silence
    }

    /// A connection has reached the silence and asks to be the silent one. False when another was faster.
    pub fn fall_silent(&self) -> bool {
        let mut left = self.left();
        let first = left.silence.take().is_some();
        left.played += u64::from(first);
        first
    }

    /// A cut has been played.
    pub fn cut_played(&self) {
        self.left().played += 1;
    }

    /// Faults that have happened; delivery in pieces is not counted.
    pub fn played(&self) -> u64 {
        self.left().played
    }
}

/// What to do with bytes that are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Write this many in one call, at least 1.
    Write(usize),
    /// Break the connection now.
    Cut {
        /// By a TCP reset.
        reset: bool,
    },
}

/// One connection's part of the plan. No socket: bytes in, decisions out.
#[derive(Debug, Clone)]
pub struct Script {
    chunk: usize,
    cut: Option<Cut>,
    counting: bool,
    counted: u64,
}

impl Script {
    /// From here on bytes count towards the cut: the login acceptance is out.
    pub fn start_counting(&mut self) {
        self.counting = true;
    }

    /// Decides about `ready` bytes, at least 1. After a `Write(n)` the caller has written n bytes.
    pub fn next_piece(&mut self, ready: usize) -> Piece {
        let mut bytes = ready.min(self.chunk);
        if let (true, Some(cut)) = (self.counting, self.cut) {
            let room = cut.at - self.counted;
            if room == 0 {
                return Piece::Cut { reset: cut.reset };
            }
            bytes = bytes.min(usize::try_from(room).unwrap_or(usize::MAX));
            self.counted += bytes as u64;
        }
        Piece::Write(bytes)
    }

    /// Whether the connection must break now, although nothing is ready.
    #[must_use]
    pub fn is_cut_due(&self) -> Option<Cut> {
        self.cut.filter(|cut| self.counting && self.counted == cut.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_parsed() {
        let cuts = |at: &[u64], reset| Fault::Cuts { at: at.to_vec(), reset };
        let table: &[(&str, Fault)] = &[
            ("cut@12345", cuts(&[12_345], false)),
            ("cut@0", cuts(&[0], false)),
            ("rst@7", cuts(&[7], true)),
            ("cut-list=10,20,30", cuts(&[10, 20, 30], false)),
            ("rst-list=10,", cuts(&[10], true)),
            ("one-byte", Fault::Chunk(1)),
            ("chunk=17", Fault::Chunk(17)),
            ("reject=A", Fault::Reject { code: b'A', times: u64::MAX }),
            ("reject=S,3", Fault::Reject { code: b'S', times: 3 }),
            ("silence@99", Fault::Silence(99)),
            ("no-login-answer", Fault::NoLoginAnswer { times: u64::MAX }),
            ("no-login-answer,2", Fault::NoLoginAnswer { times: 2 }),
        ];
        for (text, want) in table {
            assert_eq!(text.parse().as_ref(), Ok(want), "case: {text}");
        }
    }

    #[test]
    fn errors_say_what_is_wanted() {
        let table: &[(&str, &str)] = &[
            ("", "unknown fault \"\"; use cut@K"),
            ("explode", "unknown fault \"explode\""),
            ("cut@", "\"\" is no byte count"),
            ("cut@-1", "\"-1\" is no byte count"),
            ("cut=5", "unknown fault"),
            ("chunk=0", "\"0\" is no piece size of at least 1 byte"),
            ("reject=X", "unknown fault"),
            ("reject=A,x", "\"x\" is no number of times"),
            ("silence@soon", "\"soon\" is no message number"),
            ("cut-list=", "is no list of byte counts"),
            ("cut-list=/nowhere/cuts.txt", "cannot read /nowhere/cuts.txt"),
            ("one-byte@3", "unknown fault"),
        ];
        for (text, want) in table {
            let got = text.parse::<Fault>().expect_err(text).to_string();
            assert!(got.contains(want), "case {text}: {got}");
        }
    }

    #[test]
    fn cut_lists_come_from_files_too() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "10, 20\n30\n").expect("a written file");
        let fault: Fault = format!("cut-list={}", file.path().display()).parse().expect("a list");
        assert_eq!(fault, Fault::Cuts { at: vec![10, 20, 30], reset: false });
    }

    fn plan(texts: &[&str]) -> Plan {
        Plan::new(&texts.iter().map(|text| text.parse().expect("a fault")).collect::<Vec<_>>())
    }

    /// Pieces of one write of `ready` bytes, up to and with a cut.
    fn pieces(script: &mut Script, mut ready: usize) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while ready > 0 {
            let piece = script.next_piece(ready);
            pieces.push(piece);
            match piece {
                Piece::Write(bytes) => ready -= bytes,
                Piece::Cut { .. } => break,
            }
        }
        pieces
    }

    #[test]
    fn a_cut_counts_from_the_login_acceptance() {
        let plan = plan(&["cut@5"]);
        let mut script = plan.accepted();
        assert_eq!(pieces(&mut script, 33), [Piece::Write(33)], "the acceptance does not count");
        script.start_counting();
        assert_eq!(pieces(&mut script, 3), [Piece::Write(3)]);
        assert_eq!(script.is_cut_due(), None);
        assert_eq!(pieces(&mut script, 9), [Piece::Write(2), Piece::Cut { reset: false }]);
        assert_eq!(script.is_cut_due(), Some(Cut { at: 5, reset: false }));
        assert_eq!(plan.accepted().cut, None, "a cut happens once");
    }

    #[test]
    fn each_login_uses_up_the_next_cut() {
        let plan = plan(&["cut-list=1,0", "rst@2"]);
        for want in [Some((1, false)), Some((0, false)), Some((2, true)), None] {
            assert_eq!(plan.accepted().cut.map(|cut| (cut.at, cut.reset)), want);
        }
    }

    #[test]
    fn pieces_are_at_most_a_chunk() {
        let mut script = plan(&["chunk=4", "cut@6"]).accepted();
        script.start_counting();
        assert_eq!(pieces(&mut script, 10), [Piece::Write(4), Piece::Write(2), Piece::Cut { reset: false }]);
        let mut script = plan(&["chunk=4", "one-byte"]).stranger();
        assert_eq!(pieces(&mut script, 3), [Piece::Write(1); 3]);
    }

    #[test]
    fn logins_are_ignored_then_rejected_then_judged() {
        let plan = plan(&["reject=A,1", "no-login-answer,1", "reject=S,1"]);
        let fates: [LoginFate; 4] = std::array::from_fn(|_| plan.login());
        assert_eq!(fates, [LoginFate::Ignore, LoginFate::Reject(b'A'), LoginFate::Reject(b'S'), LoginFate::Judge]);
        assert_eq!(plan.played(), 3);
    }

    #[test]
    fn only_one_connection_falls_silent() {
        let plan = plan(&["silence@4"]);
        assert_eq!(plan.silence_after(), Some(4));
        assert!(plan.fall_silent());
        assert!(!plan.fall_silent());
        assert_eq!((plan.silence_after(), plan.played()), (None, 1));
    }
}
