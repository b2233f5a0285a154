use super::*;

const A: Source = Source::Line(LineId::A);

fn texts(window: &Window, next: u64) -> Vec<(u64, Vec<u8>)> {
    let mut places = [MessageAt::default(); BATCH];
    let Some(run) = window.run(next, &mut places) else { return vec![] };
    let text = |place: &MessageAt| run.buffer[place.at as usize..][..place.len as usize].to_vec();
    places[..run.len].iter().map(|place| (place.sequence, text(place))).collect()
}

#[test]
fn a_run_is_of_one_packet() {
    let mut window = Window::new(64, 1 << 16);
    assert!(window.put(5, b"five", Nanos(1), A) && window.put(6, b"", Nanos(1), A));
    assert!(window.put(7, b"seven", Nanos(2), A) && window.put(8, b"8", Nanos(2), Source::Recovery));
    assert!(window.holds(5, 6) && !window.holds(5, 9) && !window.holds(6, 5) && !window.holds(5, 5 + 64));
    assert_eq!(texts(&window, 5), [(5, b"five".to_vec()), (6, b"".to_vec())]);
    assert_eq!(texts(&window, 7), [(7, b"seven".to_vec())]);
    assert_eq!(texts(&window, 4), []);
    for sequence in [5, 6, 6, 7, 8] {
        window.release(sequence);
    }
    assert_eq!(window.held(), 0);
}

#[test]
fn room_comes_back_with_the_last_message_of_a_chunk() {
    let mut window = Window::new(64, 2 << 16);
    let half = vec![7; CHUNK_BYTES / 2];
    for sequence in 1..=4 {
        assert!(window.put(sequence, &half, Nanos(0), A), "message {sequence}");
    }
    assert!(!window.put(5, b"x", Nanos(0), A));
    assert!(!window.put(5, b"", Nanos(0), A), "an empty one takes room as well");
    window.release(1);
    assert!(!window.put(5, b"x", Nanos(0), A), "the other half of its chunk is still held");
    window.release(2);
    assert!(window.put(5, &half, Nanos(0), A) && window.put(6, &half, Nanos(0), A));
    // The chunk that is being filled begins anew when it is empty, and is not given out twice.
    window.release(5);
    window.release(6);
    window.release(3);
    window.release(4);
    for sequence in 7..=10 {
        assert!(window.put(sequence, &half, Nanos(0), A), "message {sequence}");
    }
    assert!(!window.put(11, b"x", Nanos(0), A));
    assert!(!window.put(11, &vec![0; CHUNK_BYTES], Nanos(0), A), "longer than any message can be");
    window.clear();
    assert_eq!((window.held(), texts(&window, 7)), (0, vec![]));
    assert!(window.put(11, &vec![0; 65_535], Nanos(0), A));
}
