//! A TCP feed: two hosts of a venue, a network, the engine's session, and everything that can go wrong between them.

mod engine;
mod model;
mod script;
mod venue;

use wire::soupbin::backoff::Attempt;

use crate::common::flow::Rng;
use crate::exchange::Session;
use crate::schedule::{MS, S, Schedule};
use engine::{Engine, Step};
use script::{Fault, GARBAGE, Script};
use venue::{Arrival, Host, Venue};

/// What happens in a run.
#[derive(Debug)]
enum Event {
    /// The exchange may have something new.
    Publish,
    /// Something begins to go wrong.
    Fault(Fault),
    /// And is over.
    Over(Fault),
    /// Nothing goes wrong any more.
    Calm,
    /// The engine dials; `u32`: in which of its lives.
    Dial(u32, Attempt),
    /// Its dialling has come to an end: a connection, or none.
    Dialled(u32, Attempt, bool),
    /// The network brings something.
    Net(usize, Arrival),
    /// The engine's timer.
    EngineTimer(u32),
    /// The engine begins anew.
    Revive,
    /// Nobody has come back in time.
    Deadline,
}

struct Run {
    net: Schedule<Event>,
    script: Script,
    rng: Rng,
    venue: Venue,
    engine: Engine,
    calm: bool,
}

/// One run. Panics when something is not as it must be. Returns a hash of everything that happened.
pub(crate) fn run(seed: u64, verbose: bool) -> u64 {
    let mut rng = Rng(seed ^ 0x7c90_11fe_5eed_0001);
    let script = Script::draw(&mut rng);
    if verbose {
        println!("seed {seed}, a TCP feed: {script:#?}");
    }
    let sessions = script.faults.iter().filter(|(_, fault)| matches!(fault, Fault::NewSession { .. })).count() + 1;
    let sessions = (0..sessions).map(|index| Session::new(&mut rng, index, 0, script.calm_at)).collect();
    let venue = Venue::new(rng.next(), sessions, &script);
    let engine = Engine::new(&script, rng.next());
    let mut run = Run { net: Schedule::new(), rng, venue, engine, calm: false, script };
    run.begin(verbose);
    run.finish()
}

impl Run {
    fn begin(&mut self, verbose: bool) {
        self.net.plan(0, Event::Publish);
        for (at, fault) in self.script.faults.clone() {
            self.net.plan(at, Event::Fault(fault));
        }
        self.net.plan(self.script.calm_at, Event::Calm);
        self.net.plan(self.script.calm_at + self.bound(), Event::Deadline);
        let step = self.engine.revive(self.net.now);
        self.take(step);
        while let Some(event) = self.net.next() {
            if verbose {
                println!("{:>12.6} {event:?}", self.net.now as f64 / S as f64);
            }
            self.event(event);
            if self.is_current() {
                return;
            }
        }
    }

    /// How long the feed may take to be live and current after the last fault: whatever it waits for at that moment,
    /// the longest delay that may follow, a login that names a session of before and another that names none, and the
    /// way of the data.
    fn bound(&self) -> u64 {
        let script = &self.script;
        let patience = script.silence_limit.max(script.login_timeout).max(script.connect_timeout);
        let backoff = engine::backoff(script);
        let delays = [backoff.broken_max_ns, backoff.cold_max_ns, backoff.reject_ns, backoff.next_session_ns];
        let delay = delays.into_iter().max().expect("four");
        patience + delay + backoff.broken_first_ns + 12 * script.delay + S
    }

    fn is_current(&self) -> bool {
        let Some(session) = self.venue.current else { return false };
        let served = &self.venue.sessions[session];
        self.calm && served.is_complete() && self.engine.has_all_of(session, served.len())
    }

    fn event(&mut self, event: Event) {
        let now = self.net.now;
        match event {
            Event::Publish => self.publish(),
            Event::Fault(fault) => self.fault(fault),
            Event::Over(fault) => self.over(fault),
            Event::Calm => {
                self.calm = true;
                self.engine.calm();
                self.venue.calm(&mut self.net);
            }
            Event::Dial(life, attempt) if self.engine.lives(life) => self.dial(life, attempt),
            Event::Dialled(life, attempt, made) if self.engine.lives(life) => {
                let step = match made {
                    // The host may have gone meanwhile.
                    true if self.host(attempt) == Host::Up => {
                        let index = self.venue.accept(self.address(attempt), &mut self.net);
                        self.engine.connected(now, index, attempt)
                    }
                    _ => self.engine.not_connected(now),
                };
                self.take(step);
            }
            Event::Dialled(..) | Event::Dial(..) => {}
            Event::Net(index, Arrival::ToEngine(bytes)) => {
                let step = self.engine.bytes(now, index, &bytes, &self.venue.sessions);
                self.take(step);
            }
            Event::Net(index, Arrival::EndAtEngine) => {
                let step = self.engine.ended(now, index);
                self.take(step);
            }
            Event::Net(index, arrival) => self.venue.arrived(index, arrival, &mut self.net),
            Event::EngineTimer(life) if self.engine.lives(life) => {
                let step = self.engine.timer(now);
                self.take(step);
            }
            Event::EngineTimer(_) => {}
            Event::Revive => {
                let step = self.engine.revive(now);
                self.take(step);
            }
            Event::Deadline => panic!(
                "not live and current {} ms after the last fault: {}",
                self.bound() / MS,
                self.engine.describe(&self.venue.sessions)
            ),
        }
    }

    fn publish(&mut self) {
        let Some(session) = self.venue.current else { return };
        let next = self.venue.sessions[session].publish(self.net.now);
        self.venue.serve_all(&mut self.net);
        if let Some(next) = next {
            self.net.plan(next, Event::Publish);
        }
    }

    fn address(&self, attempt: Attempt) -> usize {
        attempt.address_index % self.script.hosts
    }

    fn host(&self, attempt: Attempt) -> Host {
        self.venue.hosts[self.address(attempt)]
    }

    fn dial(&mut self, life: u32, attempt: Attempt) {
        self.engine.dialling(attempt);
        let round_trip = self.net.now + 2 * self.script.delay;
        let (at, made) = match self.host(attempt) {
            Host::Up => (round_trip.max(self.venue.stalled_until), true),
            Host::Down => (round_trip, false),
            Host::Gone => (self.net.now + self.script.connect_timeout, false),
        };
        self.net.plan(at, Event::Dialled(life, attempt, made));
    }

    /// Does what the engine wants.
    fn take(&mut self, step: Step) {
        let life = self.engine.life();
        if let Some((index, bytes)) = step.send {
            self.venue.take_up(index, &bytes, &mut self.net);
        }
        if let Some(index) = step.end {
            self.venue.engine_ends(index, &mut self.net);
        }
        if let Some(attempt) = step.dial {
            self.net.plan(attempt.at.0, Event::Dial(life, attempt));
        }
        if let Some(at) = step.timer {
            self.net.plan(at, Event::EngineTimer(life));
        }
        if let Some(at) = step.revive {
            self.net.plan(at, Event::Revive);
        }
    }

    fn fault(&mut self, fault: Fault) {
        let now = self.net.now;
        match fault {
            Fault::Cut { after_bytes, reset } => self.venue.cut(after_bytes, reset),
            Fault::Flap { at_most, .. } => self.venue.flap = Some(at_most.max(1)),
            Fault::Pieces { largest, .. } => self.venue.largest_piece = largest,
            Fault::Mute { .. } => self.venue.muted = true,
            Fault::Stall { lasts } => self.venue.stalled_until = now + lasts,
            Fault::Down { host, .. } => {
                self.venue.end_all(Some(host), true, &mut self.net);
                self.venue.hosts[host] = Host::Down;
            }
            Fault::Gone { host, .. } => self.venue.hosts[host] = Host::Gone,
            Fault::Login { answer, times } => {
                self.venue.answers.extend(std::iter::repeat_n(answer, times));
                // An answer needs a login.
                self.venue.cut(self.rng.below(400) as usize, false);
            }
            Fault::Garbage { which } => self.venue.inject(GARBAGE[which], &mut self.net),
            Fault::Noise { packets, bytes } => self.venue.noise(packets, bytes, &mut self.net),
            Fault::NewSession { said, .. } => self.venue.end_session(said, &mut self.net),
            Fault::Kill { down, batches, torn } => {
                let step = self.engine.kill(now, down, batches, torn, &self.venue.sessions);
                self.take(step);
            }
        }
        let lasts = match fault {
            Fault::Flap { lasts, .. }
            | Fault::Pieces { lasts, .. }
            | Fault::Mute { lasts }
            | Fault::Down { lasts, .. }
            | Fault::Gone { lasts, .. } => lasts,
            Fault::NewSession { pause, .. } => pause,
            _ => return,
        };
        self.net.plan(now + lasts, Event::Over(fault));
    }

    fn over(&mut self, fault: Fault) {
        match fault {
            Fault::Flap { .. } => self.venue.flap = None,
            Fault::Pieces { .. } => self.venue.largest_piece = 65_536,
            Fault::Mute { .. } => self.venue.unmute(&mut self.net),
            Fault::Down { host, .. } | Fault::Gone { host, .. } => self.venue.restore(host, &mut self.net),
            Fault::NewSession { .. } => {
                let begun = &mut self.venue.begun;
                if self.venue.current.is_none() {
                    *begun += 1;
                    self.venue.current = Some(*begun);
                    self.publish();
                }
            }
            _ => {}
        }
    }

    /// What must hold at the end.
    fn finish(mut self) -> u64 {
        self.engine.finish(&self.venue.sessions)
    }
}
