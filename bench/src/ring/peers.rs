//! The crates that the ring is measured against: `rtrb` (one process, back-pressure) and `iceoryx2` (processes).
//!
//! Without the feature `peers` every function here says that there is nothing to measure.

#[cfg(not(feature = "peers"))]
pub use absent::*;
#[cfg(feature = "peers")]
pub use present::*;

#[cfg(not(feature = "peers"))]
mod absent {
    use std::path::Path;

    use crate::machine::Cores;
    use crate::partner::Page;
    use crate::stats::Latency;
    use crate::{BenchError, Result};

    /// Nothing to measure.
    ///
    /// # Errors
    /// Never.
    pub fn hand_over_rtrb(_: Cores, _: u64, _: f64) -> Result<Option<Latency>> {
        Ok(None)
    }

    /// Nothing to measure.
    ///
    /// # Errors
    /// Never.
    pub fn throughput_rtrb(_: Cores, _: usize, _: u64, _: f64) -> Result<Option<f64>> {
        Ok(None)
    }

    /// Nothing to measure.
    ///
    /// # Errors
    /// Never.
    pub fn throughput_rtrb_chunks(_: Cores, _: usize, _: u64, _: f64) -> Result<Option<f64>> {
        Ok(None)
    }

    /// Nothing to measure.
    ///
    /// # Errors
    /// Never.
    pub fn hand_over_iceoryx2(_: &Path, _: Cores, _: u64, _: f64) -> Result<Option<Latency>> {
        Ok(None)
    }

    /// There is nobody to answer.
    ///
    /// # Errors
    /// Always.
    pub fn answer_iceoryx2(_: &Page, _: &Path, _: u64) -> Result<()> {
        Err(BenchError::Peer { peer: "iceoryx2", what: "built without the feature peers".into() })
    }
}

#[cfg(feature = "peers")]
mod present {
    use std::path::Path;
    use std::sync::atomic::Ordering::Release;
    use std::thread::{self, JoinHandle};

    use iceoryx2::port::publisher::Publisher;
    use iceoryx2::port::subscriber::Subscriber;
    use iceoryx2::prelude::*;
    use rtrb::{Consumer, Producer, RingBuffer};

    use crate::floor::counts;
    use crate::machine::Cores;
    use crate::partner::{Page, Partner, Role, Word};
    use crate::stats::Latency;
    use crate::{BenchError, Result, sys};

    /// A message of one cache line, as ours.
    type Message = [u64; 8];
    /// Slots of the hand-over queues.
    const HAND_OVER_SLOTS: usize = 1024;
    /// Messages of a chunk: as many as our bursts have events.
    const CHUNK: usize = super::super::ours::BURST as usize;

    /// One way over `rtrb`: half of a round trip between two pinned threads over two queues.
    ///
    /// # Errors
    /// When the other thread fails.
    pub fn hand_over_rtrb(cores: Cores, rounds: u64, ticks_per_ns: f64) -> Result<Option<Latency>> {
        let (mut there, mut there_end) = RingBuffer::<Message>::new(HAND_OVER_SLOTS);
        let (mut back, mut back_end) = RingBuffer::<Message>::new(HAND_OVER_SLOTS);
        let answering = thread::spawn(move || {
            let _ = sys::pin(cores.partner);
            for _ in 0..rounds {
                let message = pop(&mut there_end);
                push(&mut back, message);
            }
        });
        let mut latency = Latency::new(0.5 / ticks_per_ns);
        for i in 0..rounds {
            let sent = sys::ticks();
            push(&mut there, [i; 8]);
            while pop(&mut back_end)[0] != i {}
            let seen = sys::ticks();
            if counts(i, rounds) {
                latency.record(seen - sent);
            }
        }
        join(answering)?;
        Ok(Some(latency))
    }

    #[inline(always)]
    fn push(producer: &mut Producer<Message>, message: Message) {
        while producer.push(message).is_err() {
            std::hint::spin_loop();
        }
    }

    #[inline(always)]
    fn pop(consumer: &mut Consumer<Message>) -> Message {
        loop {
            if let Ok(message) = consumer.pop() {
                return message;
            }
            std::hint::spin_loop();
        }
    }

    fn join<T>(thread: JoinHandle<T>) -> Result<T> {
        thread.join().map_err(|_| BenchError::Peer { peer: "rtrb", what: "its thread panicked".into() })
    }

    /// Millions of messages a second through `rtrb`, one push and one pop each.
    ///
    /// # Errors
    /// When the other thread fails.
    pub fn throughput_rtrb(cores: Cores, slots: usize, messages: u64, ticks_per_ns: f64) -> Result<Option<f64>> {
        let (mut producer, mut consumer) = RingBuffer::<Message>::new(slots);
        let reading = thread::spawn(move || {
            let _ = sys::pin(cores.partner);
            let first = pop(&mut consumer);
            let started = sys::ticks();
            let sum = (1..messages).fold(fold(0, &first), |sum, _| fold(sum, &pop(&mut consumer)));
            std::hint::black_box(sum);
            sys::ticks() - started
        });
        for i in 0..messages {
            push(&mut producer, [i; 8]);
        }
        Ok(Some(messages as f64 * 1e3 / (join(reading)? as f64 / ticks_per_ns)))
    }

    #[inline(always)]
    fn fold(sum: u64, message: &Message) -> u64 {
        message.iter().fold(sum, |sum, word| sum.wrapping_add(*word))
    }

    /// The same in chunks: `rtrb` at its best, for information. Our reader takes events one by one.
    ///
    /// # Errors
    /// When the other thread fails.
    pub fn throughput_rtrb_chunks(cores: Cores, slots: usize, messages: u64, ticks_per_ns: f64) -> Result<Option<f64>> {
        let (mut producer, mut consumer) = RingBuffer::<Message>::new(slots);
        let chunks = messages.div_ceil(CHUNK as u64);
        let reading = thread::spawn(move || {
            let _ = sys::pin(cores.partner);
            let mut sum = read_chunk(&mut consumer, 0);
            let started = sys::ticks();
            for _ in 1..chunks {
                sum = read_chunk(&mut consumer, sum);
            }
            std::hint::black_box(sum);
            sys::ticks() - started
        });
        let mut number = 0;
        for _ in 0..chunks {
            write_chunk(&mut producer, &mut number);
        }
        Ok(Some((chunks * CHUNK as u64) as f64 * 1e3 / (join(reading)? as f64 / ticks_per_ns)))
    }

    #[inline(always)]
    fn write_chunk(producer: &mut Producer<Message>, number: &mut u64) {
        loop {
            let Ok(chunk) = producer.write_chunk_uninit(CHUNK) else {
                std::hint::spin_loop();
                continue;
            };
            chunk.fill_from_iter(std::iter::from_fn(|| {
                *number += 1;
                Some([*number; 8])
            }));
            return;
        }
    }

    #[inline(always)]
    fn read_chunk(consumer: &mut Consumer<Message>, sum: u64) -> u64 {
        loop {
            let Ok(chunk) = consumer.read_chunk(CHUNK) else {
                std::hint::spin_loop();
                continue;
            };
            let (first, second) = chunk.as_slices();
            let sum = first.iter().chain(second).fold(sum, fold);
            chunk.commit_all();
            return sum;
        }
    }

    const THERE: &str = "ticklane-bench/there";
    const BACK: &str = "ticklane-bench/back";
    /// Messages that a subscriber may hold: a closed loop needs one.
    const SUBSCRIBER_BUFFER: usize = 16;

    fn refused(what: impl std::fmt::Debug) -> BenchError {
        BenchError::Peer { peer: "iceoryx2", what: format!("{what:?}") }
    }

    /// One role's end of both services.
    struct End {
        publisher: Publisher<ipc::Service, Message, ()>,
        subscriber: Subscriber<ipc::Service, Message, ()>,
        // Last, because the ports belong to it.
        _node: Node<ipc::Service>,
    }

    impl End {
        /// Joins both services. All files stand in the run's folder; the shared memory, which has no folder, carries
        /// the run's own prefix.
        fn join(dir: &Path, publishes: &str, subscribes: &str) -> Result<End> {
            set_log_level(LogLevel::Error);
            let config = config(dir)?;
            let node = NodeBuilder::new().config(&config).create::<ipc::Service>().map_err(refused)?;
            let service = |name: &str| {
                let name: ServiceName = name.try_into().map_err(refused)?;
                let builder = node.service_builder(&name).publish_subscribe::<Message>();
                let builder = builder.subscriber_max_buffer_size(SUBSCRIBER_BUFFER).enable_safe_overflow(false);
                builder.history_size(0).open_or_create().map_err(refused)
            };
            let publisher = service(publishes)?.publisher_builder().create().map_err(refused)?;
            let subscriber = service(subscribes)?.subscriber_builder().create().map_err(refused)?;
            Ok(End { publisher, subscriber, _node: node })
        }

        #[inline(always)]
        fn send(&self, message: Message) -> Result<()> {
            let sample = self.publisher.loan_uninit().map_err(refused)?;
            sample.write_payload(message).send().map_err(refused)?;
            Ok(())
        }

        #[inline(always)]
        fn receive(&self) -> Result<u64> {
            loop {
                if let Some(sample) = self.subscriber.receive().map_err(refused)? {
                    return Ok(sample[0]);
                }
                std::hint::spin_loop();
            }
        }
    }

    fn prefix(dir: &Path) -> String {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        format!("{safe}_")
    }

    fn config(dir: &Path) -> Result<Config> {
        let root = dir.join("iceoryx2");
        let root = iceoryx2::prelude::Path::new(root.as_os_str().as_encoded_bytes()).map_err(refused)?;
        let mut config = Config::default();
        config.global.set_root_path(&root);
        config.global.prefix = FileName::new(prefix(dir).as_bytes()).map_err(refused)?;
        Ok(config)
    }

    /// Its shared memory is global by name; what it leaves is removed with the run.
    fn remove_leftovers(dir: &Path) {
        let prefix = prefix(dir);
        let Ok(entries) = std::fs::read_dir("/dev/shm") else { return };
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
            // A file that is gone already is as good as removed.
            let _ = std::fs::remove_file(entry.path());
        }
    }

    /// One way over `iceoryx2`: half of a round trip between two processes over two services.
    ///
    /// # Errors
    /// When the peer refuses anything.
    pub fn hand_over_iceoryx2(dir: &Path, cores: Cores, rounds: u64, ticks_per_ns: f64) -> Result<Option<Latency>> {
        let measured = measure_iceoryx2(dir, cores, rounds, ticks_per_ns);
        remove_leftovers(dir);
        measured.map(Some)
    }

    fn measure_iceoryx2(dir: &Path, cores: Cores, rounds: u64, ticks_per_ns: f64) -> Result<Latency> {
        let page = Page::create(dir)?;
        let end = End::join(dir, THERE, BACK)?;
        let mut partner = Partner::start(&page, Role::Iceoryx2Pong, dir, cores.partner, rounds)?;
        let mut latency = Latency::new(0.5 / ticks_per_ns);
        for i in 0..rounds {
            let sent = sys::ticks();
            end.send([i; 8])?;
            while end.receive()? != i {}
            let seen = sys::ticks();
            if counts(i, rounds) {
                latency.record(seen - sent);
            }
        }
        partner.wait(&page, Word::Done)?;
        Ok(latency)
    }

    /// The partner's side of [`hand_over_iceoryx2`].
    ///
    /// # Errors
    /// When the peer refuses anything.
    pub fn answer_iceoryx2(page: &Page, dir: &Path, rounds: u64) -> Result<()> {
        let end = End::join(dir, BACK, THERE)?;
        page.word(Word::Ready).store(1, Release);
        for _ in 0..rounds {
            let number = end.receive()?;
            end.send([number; 8])?;
        }
        Ok(())
    }
}
