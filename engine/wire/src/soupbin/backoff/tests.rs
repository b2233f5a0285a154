use proptest::prelude::*;

use super::*;

const S: u64 = SECOND_NS;
const MS: u64 = MILLISECOND_NS;

fn policy(address_count: usize) -> Backoff {
    Backoff::new(BackoffConfig { address_count, ..BackoffConfig::default() }, 1)
}

/// Closes for `reason` at once when tried, `count` times: the delay and the address of each next try.
fn tries(backoff: &mut Backoff, now: &mut Nanos, reason: CloseReason, count: usize) -> Vec<(u64, usize)> {
    let one_try = |_| {
        let attempt = backoff.on_closed(reason, *now).unwrap();
        let delay_ns = attempt.at.since(*now);
        *now = attempt.at;
        (delay_ns, attempt.address_index)
    };
    (0..count).map(one_try).collect()
}

#[test]
fn the_first_try_is_at_once() {
    let want = Attempt { address_index: 0, at: Nanos(7), blank_session: false };
    assert_eq!(policy(2).first(Nanos(7)), want);
}

#[test]
fn a_session_never_live_goes_round_the_addresses() {
    let mut now = Nanos(0);
    let got = tries(&mut policy(2), &mut now, CloseReason::LineBroken, 30);
    let two = 2 * S;
    // Five tries at the first address (one is over), five at the other, then both again with doubled intervals.
    let rounds =
        [[(two, 0); 5], [(two, 1); 5], [(2 * two, 0); 5], [(2 * two, 1); 5], [(4 * two, 0); 5], [(4 * two, 1); 5]];
    let want: Vec<_> = rounds.into_iter().flatten().skip(1).chain([(8 * two, 0)]).collect();
    assert_eq!(got, want);
}

#[test]
fn the_interval_of_cold_tries_has_a_cap() {
    let mut now = Nanos(0);
    let got = tries(&mut policy(1), &mut now, CloseReason::LoginTimeout { limit_ns: 1 }, 500);
    assert_eq!(got[0], (2 * S, 0));
    assert_eq!(got[499], (60 * S, 0));
    assert!(got.is_sorted());
}

#[test]
fn a_live_session_that_breaks_tries_the_other_address_at_once() {
    for reason in [CloseReason::LineBroken, CloseReason::Silence { limit_ns: 5 * S }] {
        let mut backoff = policy(2);
        backoff.on_live(Nanos(0));
        let mut now = Nanos(100 * S);
        let got = tries(&mut backoff, &mut now, reason, 12);
        assert_eq!(got[0], (0, 1), "at once");
        assert_eq!(got[1], (100 * MS, 0), "then the first delay");
        let addresses: Vec<_> = got.iter().map(|(_, address)| *address).collect();
        assert_eq!(addresses, [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]);
        for (doublings, (delay_ns, _)) in got[1..].iter().enumerate() {
            let longest = ((100 * MS) << doublings).min(10 * S);
            let range = (longest / 2).max(100 * MS)..=longest;
            assert!(range.contains(delay_ns), "try {doublings}: {delay_ns} not in {range:?}");
        }
    }
}

#[test]
fn a_line_that_flaps_does_not_earn_immediate_tries() {
    let mut backoff = policy(2);
    let mut now = Nanos(0);
    let mut delays = Vec::new();
    for lived_ns in [S, S, S, S, 20 * S] {
        backoff.on_live(now);
        now = now.saturating_add(lived_ns);
        delays.push(tries(&mut backoff, &mut now, CloseReason::LineBroken, 1)[0].0);
    }
    assert_eq!(delays[0], 0, "the first break is a break");
    assert_eq!(delays[1], 100 * MS);
    assert!(delays[2] >= 100 * MS && delays[3] >= 200 * MS, "{delays:?}");
    assert_eq!(delays[4], 0, "a session that lasted is a good line again");
}

#[test]
fn refusals_are_not_repeated_at_speed() {
    let rejected = |code| CloseReason::Rejected { code };
    // Name; letters in turn; delay and blankness of each next login.
    let table: &[(&str, &[u8], &[(u64, bool)])] = &[
        ("not authorised", b"AA", &[(60 * S, false), (60 * S, false)]),
        ("no such session", b"S", &[(100 * MS, true)]),
        ("once only", b"SSS", &[(100 * MS, true), (60 * S, true), (60 * S, true)]),
        ("blank, then not authorised", b"SA", &[(100 * MS, true), (60 * S, true)]),
        ("any other letter", b"?", &[(60 * S, false)]),
    ];
    for (name, codes, want) in table {
        let mut backoff = policy(2);
        let closed = |code: &u8| backoff.on_closed(rejected(*code), Nanos(0)).unwrap();
        let got: Vec<_> = codes.iter().map(closed).collect();
        let shown: Vec<_> = got.iter().map(|attempt| (attempt.at.0, attempt.blank_session)).collect();
        assert_eq!(&shown, want, "case: {name}");
        assert!(got.iter().all(|attempt| attempt.address_index == 0), "case: {name}");
    }
}

#[test]
fn blank_logins_last_until_one_succeeds() {
    let mut backoff = policy(1);
    assert!(backoff.on_closed(CloseReason::Rejected { code: b'S' }, Nanos(0)).unwrap().blank_session);
    assert!(backoff.on_closed(CloseReason::LineBroken, Nanos(0)).unwrap().blank_session);
    backoff.on_live(Nanos(0));
    assert!(!backoff.on_closed(CloseReason::LineBroken, Nanos(0)).unwrap().blank_session);
}

#[test]
fn a_venue_that_changes_its_session_at_every_login_is_not_met_at_speed() {
    let mut backoff = policy(2);
    let (mut now, mut logins) = (Nanos(0), 0);
    let next = |backoff: &mut Backoff, now: &mut Nanos, reason| *now = backoff.on_closed(reason, *now).unwrap().at;
    while now < Nanos(10 * S) {
        // The remembered session is refused, a blank login brings another one, and that breaks at once.
        next(&mut backoff, &mut now, CloseReason::Rejected { code: b'S' });
        backoff.on_live(now);
        next(&mut backoff, &mut now, CloseReason::LineBroken);
        logins += 2;
    }
    assert!(logins <= 12, "{logins} logins within ten seconds");
}

#[test]
fn an_ended_session_waits_for_the_next_one() {
    let mut backoff = policy(2);
    backoff.on_live(Nanos(0));
    let want = Attempt { address_index: 0, at: Nanos(10 * S), blank_session: true };
    assert_eq!(backoff.on_closed(CloseReason::SessionEnded, Nanos(0)), Some(want));
}

#[test]
fn a_logout_is_not_followed_by_anything() {
    assert_eq!(policy(2).on_closed(CloseReason::LoggedOut, Nanos(0)), None);
}

proptest! {
    #[test]
    fn any_story_stays_within_bounds(
        seed in any::<u64>(),
        address_count in 0_usize..4,
        story in prop::collection::vec((0_u8..6, 0_u64..30 * S), 0..200),
    ) {
        let config = BackoffConfig { address_count, ..BackoffConfig::default() };
        let mut backoff = Backoff::new(config, seed);
        let mut now = Nanos(0);
        for (what, passed_ns) in story {
            now = now.saturating_add(passed_ns);
            let reason = match what {
                0 => {
                    backoff.on_live(now);
                    continue;
                }
                1 => CloseReason::Rejected { code: b'S' },
                2 => CloseReason::SessionEnded,
                _ => CloseReason::LineBroken,
            };
            let attempt = backoff.on_closed(reason, now).unwrap();
            prop_assert!(attempt.at >= now && attempt.at.since(now) <= 60 * S);
            prop_assert!(attempt.address_index < address_count.max(1));
        }
    }

    #[test]
    fn seeds_spread_a_crowd(seed in any::<u64>()) {
        let delays = |seed| {
            let mut backoff = Backoff::new(BackoffConfig::default(), seed);
            backoff.on_live(Nanos(0));
            tries(&mut backoff, &mut Nanos(0), CloseReason::LineBroken, 8)
        };
        prop_assert_eq!(delays(seed), delays(seed));
        prop_assert_ne!(delays(seed), delays(seed.wrapping_add(1)));
    }
}
