//! Bytes that should not be there.

use wire::soupbin::frame::{self, kind};

use crate::fault::Inserted;

/// So many bytes that are no packet, others for another seed. The first two are a length that runs far beyond them.
pub(crate) fn noise(seed: u64, bytes: u64) -> impl Iterator<Item = u8> {
    let mut state = seed | 1;
    (0..bytes).map(move |at| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if at < 2 { 0xff } else { (state >> 56) as u8 }
    })
}

/// Appends what a fault puts in front of a message.
pub(super) fn append(out: &mut Vec<u8>, what: Inserted, seed: u64) {
    const SHORT: &str = "a short packet";
    match what {
        Inserted::Garbage(bytes) => out.extend(noise(seed, bytes)),
        Inserted::ZeroLength => out.extend_from_slice(&[0, 0]),
        Inserted::HugeLength => {
            out.extend_from_slice(&u16::MAX.to_be_bytes());
            out.extend(std::iter::repeat_n(b'?', usize::from(u16::MAX)));
        }
        Inserted::Debug(count) => {
            for number in 0..count {
                frame::append(out, kind::DEBUG, format!("debug packet {number}").as_bytes()).expect(SHORT);
            }
        }
        Inserted::Unsequenced(count) => {
            for number in 0..count {
                frame::append(out, kind::UNSEQUENCED, format!("aside {number}").as_bytes()).expect(SHORT);
            }
        }
        Inserted::UnknownPacket => frame::append(out, b'?', b"of a type that nobody knows").expect(SHORT),
    }
}
