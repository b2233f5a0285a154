//! The fault matrix of the feeds, the engine, its memory and the recording (reliability.md, rows 1 to 49): what shows each row, held
//! against the sources, so that a test that is renamed or lost is missed.

use std::collections::BTreeMap;
use std::path::Path;

use crate::harness::skipped;

/// What shows a row, or why nothing does.
enum Shown {
    /// A test: its file from the workspace's root, its name, and how much of the row it is about.
    Test(&'static str, &'static str),
    /// Why there is none, for the row or a part of it.
    None(&'static str),
    /// A test that is still to be written, and what it must show. Told loudly at every run.
    #[allow(dead_code, reason = "the best of tables has none")]
    Pending(&'static str),
}
use Shown::{None, Pending, Test};

const MISFORTUNES: &str = "bench/tests/system/misfortunes.rs";
const REAL_INPUT: &str = "bench/tests/system/real_input.rs";
const MULTICAST: &str = "bench/tests/system/multicast.rs";
const CONTROL: &str = "bench/tests/system/control.rs";
const LANES: &str = "bench/tests/system/lanes.rs";
const HOSTILE: &str = "bench/tests/system/hostile.rs";
const START_UP: &str = "bench/tests/system/start_up.rs";
const FAULTS: &str = "bench/tests/system/engine_faults.rs";
const LIMITS: &str = "bench/tests/system/engine_limits.rs";
const KILLS: &str = "bench/tests/system/kills.rs";
const FEED_TCP: &str = "bench/tests/system/feed_faults/tcp.rs";
const FEED_UDP: &str = "bench/tests/system/feed_faults/udp.rs";
const FEED_LINES: &str = "bench/tests/system/feed_faults/lines.rs";
const FEED_NAMES: &str = "bench/tests/system/feed_faults/names.rs";
const GATEWAY: &str = "bench/tests/gateway/misfortunes.rs";
const ARBITER: &str = "engine/wire/tests/mold.rs";
const BOOKS: &str = "engine/market/tests/lifecycle.rs";
const IMAGES: &str = "engine/market/tests/image.rs";
const FEED: &str = "engine/reactor/src/feed/mod.rs";
const SETTINGS: &str = "engine/reactor/src/control/settings/tests.rs";
const VENUE: &str = "engine/venue/tests/server.rs";
const SEGMENTS: &str = "shm-abi/tests/segment.rs";
const PROCESSES: &str = "shm-abi/tests/processes.rs";
const RING: &str = "shm-abi/tests/ring.rs";
const C_HEADER: &str = "shm-abi/tests/c_header.rs";

const JOURNAL: &str = "bench/tests/system/journal.rs";
const JOURNAL_FAULTS: &str = "engine/journal/tests/faults.rs";
const JOURNAL_DAMAGE: &str = "engine/journal/tests/damage.rs";
const JOURNAL_KILLS: &str = "engine/journal/tests/kill.rs";

const KILLED_AND_CUT: Shown = Test(KILLS, "engines_are_killed_and_lines_cut_and_a_strategy_sees_every_record_once");
/// Its scripts hold, besides cuts and kills: answers to logins from before or beyond what was asked for, garbage for an
/// answer, data in pieces, packets of no length or no type, noise between messages, and never more than 12 logins in 10 s.
const SIMULATED: Shown = Test("engine/market/tests/simulation/main.rs", "every_seed_is_safe_and_live");
const STRANGERS: Shown = Test(MULTICAST, "strangers_garbage_and_answers_that_nobody_asked_for_change_nothing");

const TABLE: &[(u32, &str, &[Shown])] = &[
    (
        1,
        "TCP closed in mid-message",
        &[
            Test(REAL_INPUT, "the_stream_is_cut_at_200_random_bytes"),
            Test(MISFORTUNES, "the_line_is_reset_in_mid_message_again_and_again"),
            Test(VENUE, "cuts_are_exact_and_resumable"),
            KILLED_AND_CUT,
        ],
    ),
    (
        2,
        "reset in the length field",
        &[
            Test(FEED_TCP, "resets_between_the_two_length_bytes_lose_nothing"),
            Test(MISFORTUNES, "the_line_is_reset_in_mid_message_again_and_again"),
        ],
    ),
    (
        3,
        "one-byte pieces, 64 KiB at once",
        &[
            Test(REAL_INPUT, "the_stream_arrives_one_byte_at_a_time"),
            Test(FEED_TCP, "pieces_of_any_size_give_the_same_records"),
        ],
    ),
    (
        4,
        "duplicate sequence",
        &[
            Test(FEED_TCP, "two_hundred_messages_come_again_and_are_not_shown"),
            Test(FEED_UDP, "two_hundred_messages_come_again_on_a_line_and_are_not_shown"),
            STRANGERS,
            SIMULATED,
        ],
    ),
    (
        5,
        "out of order inside the window",
        &[
            Test(FEED_UDP, "datagrams_that_were_overtaken_are_put_in_order_and_asked_for_only_after_the_grace_time"),
            Test(ARBITER, "datagrams_out_of_order_are_put_in_order_without_a_request"),
        ],
    ),
    (
        6,
        "gap, re-request answered",
        &[
            Test(FEED_UDP, "a_tenth_is_lost_on_both_lines_and_all_of_it_is_filled"),
            Test(FEED_UDP, "a_hole_in_one_channel_holds_up_no_other"),
            Test(MULTICAST, "the_same_datagrams_are_lost_on_both_lines_and_asked_for"),
        ],
    ),
    (
        7,
        "gap, nobody answers",
        &[
            Test(FEED_UDP, "nobody_answers_and_the_loss_is_declared_and_the_books_are_suspect_until_another_session"),
            Test(FEED_UDP, "nobody_answers_and_an_image_makes_the_books_good_again"),
            Test(MULTICAST, "nobody_answers_and_the_loss_is_declared"),
            Test(ARBITER, "the_same_losses_with_mute_servers_are_declared_in_time"),
            Test(BOOKS, "a_gap_makes_every_book_suspect_until_the_next_session"),
            Test(IMAGES, "an_image_replaces_every_book_and_ends_the_suspicion"),
        ],
    ),
    (
        8,
        "answer outside the asked range",
        &[Test(FEED_UDP, "answers_outside_of_the_asked_range_are_ignored_and_make_no_hole"), STRANGERS],
    ),
    (
        9,
        "server skips ahead at login",
        &[Test(FEED_TCP, "the_server_skips_ahead_at_login_and_the_gap_is_declared"), SIMULATED],
    ),
    (
        10,
        "new session",
        &[
            Test(FEED_LINES, "another_session_begins_and_the_books_are_cleared"),
            Test(MISFORTUNES, "the_venue_comes_back_with_another_session"),
            Test(MULTICAST, "the_session_ends_and_another_one_begins"),
            Test(BOOKS, "a_new_session_clears_books_and_rows_and_says_so"),
            None("the epoch stays: the ring's numbers go on, and a restart record says `session` (ARCHITECTURE.md)"),
        ],
    ),
    (
        11,
        "stray session on a multicast port",
        &[Test(FEED_LINES, "strays_and_noise_on_the_lines_are_counted_and_nothing_else"), STRANGERS],
    ),
    (12, "silence", &[Test(MISFORTUNES, "the_venue_falls_silent_and_the_feed_moves_to_the_other_address")]),
    (
        13,
        "primary refuses or resets",
        &[
            Test(FEED_TCP, "the_primary_dies_and_the_secondary_goes_on_without_any_delay"),
            Test(FEED_TCP, "flapping_addresses_are_not_stormed_with_logins"),
            Test(LANES, "the_primary_is_reset_and_the_failover_goes_on_at_once"),
            Test(MISFORTUNES, "nobody_listens_at_first"),
            KILLED_AND_CUT,
            SIMULATED,
        ],
    ),
    (14, "login rejected", &[Test(MISFORTUNES, "the_login_is_rejected_and_then_taken")]),
    (
        15,
        "login never answered, garbage, in pieces",
        &[
            Test(FEED_TCP, "a_primary_that_refuses_or_never_answers_well_is_given_up_for_the_secondary"),
            Test(FEED_TCP, "a_login_answer_in_single_bytes_is_an_answer"),
            Test(MISFORTUNES, "the_login_is_never_answered"),
            SIMULATED,
        ],
    ),
    (
        16,
        "names cannot be resolved",
        &[Test(
            FEED_NAMES,
            "the_name_service_fails_and_the_last_good_address_is_used_while_other_feeds_notice_nothing",
        )],
    ),
    (
        17,
        "zero length, huge length, unknown type",
        &[
            Test(HOSTILE, "hostile_messages_are_counted_declared_and_survived"),
            SIMULATED,
            Test(FEED_TCP, "lengths_and_types_that_cannot_be_break_the_connection_and_nothing_else"),
        ],
    ),
    (
        18,
        "malformed message in a right frame",
        &[
            Test(FEED_TCP, "malformed_and_unknown_messages_in_right_frames_are_counted_and_the_numbers_go_on"),
            Test(HOSTILE, "hostile_messages_are_counted_declared_and_survived"),
        ],
    ),
    (
        19,
        "debug and unsequenced storm",
        &[
            SIMULATED,
            Test(FEED, "a_flood_of_lines_becomes_one_a_second_and_says_how_many_it_stands_for"),
            Test(FEED_TCP, "a_storm_of_debug_packets_floods_no_log_and_the_data_is_taken"),
        ],
    ),
    (
        20,
        "end of session",
        &[Test(MISFORTUNES, "the_venue_ends_its_session"), Test(MULTICAST, "the_session_ends_and_another_one_begins")],
    ),
    (
        21,
        "losses on one line each",
        &[
            Test(FEED_LINES, "each_line_loses_a_quarter_at_other_places_and_nobody_is_asked"),
            Test(MULTICAST, "a_quarter_of_the_datagrams_is_lost_on_each_line_at_different_places"),
            Test(ARBITER, "losses_at_different_places_cost_nothing"),
        ],
    ),
    (
        22,
        "one line dead",
        &[
            Test(FEED_LINES, "line_b_dies_and_the_data_stays_whole"),
            Test(MULTICAST, "one_line_dies_and_the_data_stays_whole"),
        ],
    ),
    (
        23,
        "burst above the reactor's rate",
        &[
            Test(FEED_LINES, "a_burst_overflows_the_socket_and_each_datagram_that_the_kernel_drops_is_declared"),
            Test(MULTICAST, "more_arrives_than_the_socket_holds_and_what_the_kernel_drops_is_declared"),
        ],
    ),
    (
        24,
        "a provider's WebSocket",
        &[None("feeds of brokers: this engine has none yet, and they bring the row's tests")],
    ),
    (
        25,
        "the feed's clock is wrong",
        &[
            Test(LIMITS, "the_clock_jumps_by_an_hour_to_and_fro_and_no_timer_notices"),
            Test(FEED_TCP, "the_venues_clock_jumps_and_the_times_of_receipt_do_not"),
        ],
    ),
    (
        26,
        "killed while a slot is written",
        &[
            Test(PROCESSES, "a_writer_killed_at_random_moments_leaves_nothing_torn"),
            Test(PROCESSES, "a_writer_killed_half_way_is_never_read_half_way"),
            KILLED_AND_CUT,
        ],
    ),
    (
        27,
        "engine restarted with readers attached",
        &[
            Test(REAL_INPUT, "the_engine_is_killed_and_restarted_in_the_middle"),
            Test(GATEWAY, "the_engine_is_killed_and_restarted_in_the_middle"),
            KILLED_AND_CUT,
        ],
    ),
    (
        28,
        "engine stopped and continued",
        &[
            Test(MISFORTUNES, "the_engine_is_stopped_and_continued"),
            Test(MISFORTUNES, "systemd_is_told_of_readiness_life_and_end"),
        ],
    ),
    (
        29,
        "reader stalls and is lapped",
        &[
            Test(FAULTS, "a_reader_that_stops_is_told_exactly_what_it_lost_and_the_writer_goes_on"),
            Test(RING, "a_lapped_reader_is_told_exactly_what_it_lost"),
            None("the writer's p99 beside a stopped reader is measured, not tested: `bench ring`"),
        ],
    ),
    (
        30,
        "readers killed, a thousand attached and detached",
        &[Test(FAULTS, "a_thousand_readers_come_and_go_some_of_them_killed_and_nothing_leaks")],
    ),
    (31, "hostile reader", &[Test(FAULTS, "a_reader_of_the_group_reads_and_is_refused_everything_else")]),
    (
        32,
        "segment truncated or replaced",
        &[
            Test(FAULTS, "a_segment_cut_short_is_refused_by_readers_and_made_anew_by_the_engine"),
            Test(SEGMENTS, "a_file_that_is_not_our_segment_is_refused_by_readers"),
            Test(SEGMENTS, "a_broken_segment_of_ours_is_no_predecessor_and_is_replaced"),
            None("cut while mapped, a segment raises SIGBUS in its readers; only its owner can do that"),
        ],
    ),
    (
        33,
        "stale segment after a crash or reboot",
        &[
            Test(FAULTS, "a_segment_of_an_earlier_boot_is_refused_by_readers_and_replaced_by_the_engine"),
            Test(SEGMENTS, "a_segment_of_an_earlier_boot_is_refused_and_replaced"),
            Test(SEGMENTS, "a_predecessor_is_read_and_replaced_while_readers_keep_it"),
        ],
    ),
    (
        34,
        "symlink, foreign file, fifo, directory in its place",
        &[
            Test(FAULTS, "whatever_else_stands_in_a_files_place_stops_the_start_and_is_left_alone"),
            Test(START_UP, "what_is_not_ours_in_the_segments_place_is_left_alone"),
            Test(SEGMENTS, "what_is_not_ours_is_neither_read_nor_replaced"),
            Test(SEGMENTS, "a_segment_of_another_user_is_not_replaced"),
        ],
    ),
    (
        35,
        "second engine on the same name",
        &[Test(START_UP, "a_second_engine_on_the_same_lane_is_refused_and_the_first_unharmed")],
    ),
    (
        36,
        "layout version differs",
        &[
            Test(SEGMENTS, "another_version_or_layout_is_refused_with_both_named"),
            Test(C_HEADER, "c_and_cpp_refuse_what_rust_refuses"),
        ],
    ),
    (
        37,
        "shared memory full",
        &[
            Test(FAULTS, "a_full_file_system_stops_the_start_before_any_login"),
            Test(SEGMENTS, "a_full_file_system_is_told_before_anything_is_mapped"),
        ],
    ),
    (
        38,
        "no huge pages, mlock refused",
        &[
            Test(LIMITS, "memory_that_cannot_be_locked_is_told_and_refused_only_where_locking_is_required"),
            None(
                "a segment's pages are those of its file system, never required to be huge, and the advice for the \
              books' tables may be ignored",
            ),
        ],
    ),
    (
        39,
        "no io_uring, memlock too low",
        &[
            Test(START_UP, "without_io_uring_the_cause_and_the_remedy_are_told"),
            Test(START_UP, "a_memlock_limit_that_is_too_low_names_the_setting"),
        ],
    ),
    (
        40,
        "core that does not exist or is not allowed",
        &[
            Test(LIMITS, "a_core_that_is_not_allowed_is_named_with_those_that_are"),
            Test(START_UP, "configs_that_cannot_work_are_refused_with_field_value_and_expectation"),
        ],
    ),
    (
        41,
        "no right to real-time priority",
        &[Test(LIMITS, "a_priority_that_is_refused_is_told_once_and_one_that_is_granted_is_the_reactor_s")],
    ),
    (42, "clock jumps", &[Test(LIMITS, "the_clock_jumps_by_an_hour_to_and_fro_and_no_timer_notices")]),
    (
        43,
        "SIGTERM",
        &[
            Test(MISFORTUNES, "sigterm_publishes_what_is_complete_and_marks_the_segment_closed"),
            Test(MISFORTUNES, "systemd_is_told_of_readiness_life_and_end"),
        ],
    ),
    (
        44,
        "reload with a bad config",
        &[
            Test(SETTINGS, "a_bad_file_is_refused_and_nothing_is_different"),
            Test(CONTROL, "a_reload_takes_up_a_good_config_and_keeps_the_old_one_for_a_bad_one"),
        ],
    ),
    (
        45,
        "killed for want of memory",
        &[
            Test(LIMITS, "the_engine_s_memory_is_fixed_after_its_start"),
            None("the kernel's kill is a SIGKILL like those of rows 26 and 27; no test may make a memory group here"),
        ],
    ),
    (
        46,
        "limit of descriptors",
        &[
            Test(LIMITS, "without_descriptors_readers_wait_at_the_door_and_the_feed_goes_on"),
            Test(CONTROL, "a_missing_descriptor_pauses_the_socket_and_not_the_feed"),
        ],
    ),
    (
        47,
        "disk full for the recorder",
        &[
            Test(JOURNAL, "a_full_disk_costs_declared_holes_and_the_feed_goes_on"),
            Test(JOURNAL_FAULTS, "a_full_disk_is_one_declared_hole_and_the_recording_goes_on_when_there_is_room"),
        ],
    ),
    (
        48,
        "slow disk",
        &[
            Test(JOURNAL, "a_disk_that_stands_still_never_holds_the_feed_up"),
            Test(JOURNAL_FAULTS, "a_slow_disk_costs_a_hole_and_never_holds_up_the_one_who_pushes"),
        ],
    ),
    (
        49,
        "crash in mid-write of the journal",
        &[
            Test(JOURNAL, "engines_are_killed_and_the_journal_has_every_record_once"),
            Test(JOURNAL_DAMAGE, "a_file_cut_at_any_byte_serves_its_whole_blocks_and_nothing_else"),
            Test(JOURNAL_KILLS, "a_killed_writer_leaves_all_that_it_had_called_durable_and_the_next_goes_on_there"),
        ],
    ),
];

/// Whether `text` has a test of that name: one of the standard runner's, or a property.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let function = format!("fn {name}(");
    let is_marked =
        |at: usize| lines[..at].iter().rev().take_while(|line| !line.is_empty()).any(|line| *line == "#[test]");
    lines.iter().enumerate().any(|(at, line)| line.starts_with(&function) && is_marked(at))
}

#[test]
fn every_row_is_there_and_every_test_it_names() {
    let numbers: Vec<u32> = TABLE.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=49).collect::<Vec<_>>(), "each row once, in order");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    let mut pending = 0;
    for (number, fault, shown) in TABLE {
        assert!(!shown.is_empty(), "row {number}, {fault}: neither a test nor a reason");
        for shown in *shown {
            match shown {
                Test(file, name) => {
                    let text =
                        files.entry(file).or_insert_with(|| std::fs::read_to_string(root.join(file)).expect(file));
                    assert!(has_test(text, name), "row {number}, {fault}: {file} has no test {name}");
                }
                None(reason) => assert!(reason.len() > 20, "row {number}, {fault}: no reason"),
                Pending(what) => {
                    pending += 1;
                    skipped("no test yet", &format!("row {number}, {fault}: {what}"));
                }
            }
        }
    }
    if pending > 0 {
        skipped("no test yet", &format!("{pending} parts of the fault matrix"));
    }
}

#[test]
fn a_name_that_is_no_test_is_not_taken_for_one() {
    let text = "#[test]\nfn one() {}\n\nfn two() {}\n\n    #[test]\n    #[ignore]\n    fn three(a in 0..1u8) {}\n";
    let found = ["one", "two", "three", "on", "four"].map(|name| has_test(text, name));
    assert_eq!(found, [true, false, true, false, false]);
}
