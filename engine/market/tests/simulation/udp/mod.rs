//! A datagram feed: two lines, re-request servers, the engine's arbiter, and everything that can go wrong between them.

mod engine;
mod script;
mod venue;

use wire::multicast::SessionKey;

use crate::common::flow::Rng;
use crate::exchange::Session;
use crate::schedule::{MS, S, Schedule};
use engine::{Engine, Step};
use script::{Fault, Script};
use venue::{BEAT, Venue};

/// What happens in a run.
#[derive(Debug)]
enum Event {
    /// The exchange may have something new.
    Publish,
    /// Lines say that they live.
    Beat,
    /// Something begins to go wrong.
    Fault(Fault),
    /// And is over.
    Over(Fault),
    /// Nothing goes wrong any more.
    Calm,
    /// A datagram of a line, or of a server.
    AtEngine(Option<usize>, Vec<u8>),
    /// A request at a server.
    AtServer(Vec<u8>),
    /// The engine's timer, in which of its lives.
    Timer(u32),
    /// The engine begins anew.
    Revive,
    /// The feed has not come back in time.
    Deadline,
}

struct Run {
    net: Schedule<Event>,
    script: Script,
    venue: Venue,
    engine: Engine,
    calm: bool,
}

/// From the last fault until the feed is live and current: a new session is taken when all lines have been without the
/// old one for 3 s, what is missing is filled or declared within 2 s of being known, and it is known with the next
/// heartbeat.
const BOUND: u64 = 3 * S + 2 * S + 2 * BEAT + S / 2;

/// One run. Panics when something is not as it must be. Returns a hash of everything that happened.
pub(crate) fn run(seed: u64, verbose: bool) -> u64 {
    let mut rng = Rng(seed ^ 0x0dd5_11fe_5eed_0002);
    let script = Script::draw(&mut rng);
    if verbose {
        println!("seed {seed}, a datagram feed: {script:#?}");
    }
    let sessions = script.faults.iter().filter(|(_, fault)| matches!(fault, Fault::NewSession { .. })).count() + 1;
    let sessions = (0..sessions).map(|index| Session::new(&mut rng, index, 0, script.calm_at)).collect();
    let venue = Venue::new(rng.next(), sessions, &script);
    let engine = Engine::new(&script, rng.next());
    let mut run = Run { net: Schedule::new(), venue, engine, calm: false, script };
    run.begin(verbose);
    let Run { script, venue, mut engine, .. } = run;
    engine.finish(&script, &venue.sessions)
}

impl Run {
    fn begin(&mut self, verbose: bool) {
        self.net.plan(0, Event::Publish);
        self.net.plan(BEAT, Event::Beat);
        for (at, fault) in self.script.faults.clone() {
            self.net.plan(at, Event::Fault(fault));
        }
        self.net.plan(self.script.calm_at, Event::Calm);
        self.net.plan(self.script.calm_at + BOUND, Event::Deadline);
        let step = self.engine.revive(self.net.now);
        self.take(step);
        while let Some(event) = self.net.next() {
            if verbose && !matches!(event, Event::Timer(_)) {
                println!("{:>12.6} {event:?}", self.net.now as f64 / S as f64);
            }
            self.event(event);
            if self.is_current() {
                return;
            }
        }
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
            Event::Beat => {
                self.venue.beat(&mut self.net);
                self.net.plan(now + BEAT, Event::Beat);
            }
            Event::Fault(fault) => self.fault(fault),
            Event::Over(fault) => self.over(fault),
            Event::Calm => {
                self.calm = true;
                self.engine.calm();
                self.venue.calm();
            }
            Event::AtEngine(line, bytes) => {
                let step = self.engine.datagram(now, line, &bytes, &self.venue.sessions);
                self.take(step);
            }
            Event::AtServer(bytes) => self.venue.asked(&bytes, &mut self.net),
            Event::Timer(life) if self.engine.lives(life) => {
                let step = self.engine.turn(now, &self.venue.sessions);
                self.take(step);
            }
            Event::Timer(_) => {}
            Event::Revive => {
                let step = self.engine.revive(now);
                self.take(step);
            }
            Event::Deadline => {
                panic!("not live and current {} ms after the last fault: {}", BOUND / MS, self.engine.describe());
            }
        }
    }

    fn publish(&mut self) {
        let Some(session) = self.venue.current else { return };
        let next = self.venue.sessions[session].publish(self.net.now);
        self.venue.send_new(&mut self.net);
        if let Some(next) = next {
            self.net.plan(next, Event::Publish);
        }
    }

    fn take(&mut self, step: Step) {
        let life = self.engine.life();
        for request in step.requests {
            self.net.plan(self.net.now + self.script.delays[2], Event::AtServer(request));
        }
        if let Some(at) = step.timer {
            self.net.plan(at, Event::Timer(life));
        }
        if let Some(at) = step.revive {
            self.net.plan(at, Event::Revive);
        }
    }

    fn fault(&mut self, fault: Fault) {
        let now = self.net.now;
        match fault {
            Fault::Loss { line, percent, .. } => self.venue.lines[line].loss = percent,
            Fault::SameLoss { percent, .. } => self.venue.same_loss = percent,
            Fault::Dead { line, .. } => self.venue.lines[line].dead = true,
            Fault::Dark { .. } => self.venue.lines.iter_mut().for_each(|line| line.dead = true),
            Fault::Late { line, at_most, .. } => self.venue.lines[line].late = at_most,
            Fault::Twice { percent, .. } => self.venue.twice = percent,
            Fault::Lie { lie, .. } => self.venue.lie = Some(lie),
            Fault::RequestLoss { percent, .. } => self.venue.request_loss = percent,
            // Before ours was heard, or when it is silent, a stray session is as good as any.
            Fault::Stray { line } if self.engine.hears_ours(now) => {
                self.venue.odd(line, SessionKey::padded(b"STRAY     "), 1, true, &mut self.net);
            }
            Fault::Far { line } if self.engine.hears_ours(now) => {
                let session = venue::key(&self.venue.sessions[self.venue.begun]);
                let far = (1 << 40) + self.venue.below(1 << 40);
                self.venue.odd(line, session, far, true, &mut self.net);
            }
            Fault::Stray { .. } | Fault::Far { .. } => {}
            Fault::Garbage { line } => {
                self.venue.odd(line, SessionKey::padded(b"SIM0000000"), 1, false, &mut self.net);
            }
            Fault::NewSession { said, .. } => self.venue.end_session(said, &mut self.net),
            Fault::Kill { down, batches, torn } => {
                let step = self.engine.kill(now, down, batches, torn, &self.venue.sessions);
                self.take(step);
            }
        }
        self.net.plan(now + fault.lasts(), Event::Over(fault));
    }

    fn over(&mut self, fault: Fault) {
        match fault {
            Fault::Loss { line, .. } => self.venue.lines[line].loss = 0,
            Fault::SameLoss { .. } => self.venue.same_loss = 0,
            Fault::Dead { line, .. } => self.venue.lines[line].dead = false,
            Fault::Dark { .. } => self.venue.lines.iter_mut().for_each(|line| line.dead = false),
            Fault::Late { line, .. } => self.venue.lines[line].late = 0,
            Fault::Twice { .. } => self.venue.twice = 0,
            Fault::Lie { .. } => self.venue.lie = None,
            Fault::RequestLoss { .. } => self.venue.request_loss = 0,
            Fault::NewSession { .. } => {
                self.venue.begin_session();
                self.publish();
            }
            _ => {}
        }
    }
}
