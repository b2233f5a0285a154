//! Any bytes in every dialect: the straight decode, the view and the encoder are of one mind.

use crate::DecodeError;
use crate::dialect::{ALL, Dialect, Event, Format, Op, OpKind, Role, Value, View, WINDOW};

/// The message that `data` is, in each dialect.
pub fn dialect_message(data: &[u8]) {
    // The same message, with a window behind it that is filled with something else than zeros.
    let mut followed = data.to_vec();
    followed.extend_from_slice(&[0xa5; WINDOW]);
    for dialect in ALL {
        let view = dialect.view(data);
        for buf in [data, &followed] {
            let op = dialect.decode_at(buf, 0, data.len());
            assert!(agree(&op, &view), "{}: {op:?} against {view:?}", dialect.name());
        }
        match view {
            Ok(view) => {
                assert!(view.extended() || dialect.has(data[0], data.len()));
                encoded_again(dialect, &view);
            }
            Err(_) => assert!(data.is_empty() || !dialect.has(data[0], data.len())),
        }
    }
}

/// Whether every field that `view` has stands in `op` as well.
fn agree(op: &Op, view: &Result<View<'_>, DecodeError>) -> bool {
    let view = match view {
        Ok(view) => view,
        Err(DecodeError::Truncated { .. } | DecodeError::Length { .. }) => return op.kind == OpKind::Malformed,
        Err(DecodeError::UnknownType { .. }) => return op.kind == OpKind::Unknown,
        Err(DecodeError::Type { .. }) => return false,
    };
    let kind = match view.event() {
        Event::Add => OpKind::Add,
        Event::Execute => OpKind::Execute,
        Event::ExecutePrice => OpKind::ExecutePrice,
        Event::Cancel => OpKind::Cancel,
        Event::Delete => OpKind::Delete,
        Event::Replace => OpKind::Replace,
        _ => OpKind::Other,
    };
    let same = |role, value: u64| view.u64(role).is_none_or(|wire| wire == value);
    let head = op.kind == kind
        && view.u64(Role::Orderbook).unwrap_or(0) == u64::from(op.locate)
        && same(Role::TimestampNs, op.timestamp_ns);
    let body = || {
        usize::from(op.form_length) == view.form_length()
            && same(Role::Reference, op.reference)
            && same(Role::NewReference, op.new_reference)
            && same(Role::MatchNumber, op.match_number)
            && same(Role::Quantity, op.quantity)
            && same(Role::Price, op.price.into())
            && same(Role::Side, op.side.into())
            && view.letter(Role::Printable).is_none_or(|letter| op.printable == (letter == b'Y'))
    };
    head && (kind == OpKind::Other || body())
}

/// A message made of all that a view reads is the same message.
fn encoded_again(dialect: &Dialect, view: &View<'_>) {
    let fixed = view.fields().map(|field| (field.role, field.format));
    let texts = view.entry().texts.iter().map(|role| (*role, Format::Alpha));
    let mut values = Vec::new();
    for (role, format) in fixed.chain(texts) {
        values.push(match format {
            Format::Number => (role, Value::Number(view.u64(role).expect("a number of the form"))),
            Format::Alpha => (role, Value::Bytes(view.bytes(role).expect("a text of the form"))),
        });
    }
    let mut message = Vec::new();
    dialect
        .encode(view.message_type(), view.form_length(), &values, &mut message)
        .expect("what was read can be written");
    let again = dialect.view(&message).expect("what was written can be read");
    assert_eq!(again.event(), view.event());
    for (role, _) in &values {
        assert_eq!(again.bytes(*role), view.bytes(*role), "{role:?}");
    }
    // A table need not name every byte of a message (reserved ones, a venue's own fields), and texts may lack NULs.
    let named: usize = 1 + view.fields().map(|field| usize::from(field.width)).sum::<usize>();
    if named == view.as_bytes().len() && view.entry().texts.is_empty() {
        assert_eq!(message, view.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::for_each_input;
    use super::*;

    #[test]
    fn dialects_survive_noise() {
        for_each_input(
            |random| {
                let entries = ALL[random.below(ALL.len())].entries();
                let entry = &entries[random.below(entries.len())];
                let form = entry.lengths[random.below(entry.lengths.len())];
                // Mostly a form of the type, else near one.
                let len = if random.below(2) == 0 { form } else { (form + random.below(9)).saturating_sub(4) };
                let mut input = random.bytes(len);
                // Numbers of 0 make the special forms.
                if random.below(3) == 0 {
                    input.fill(0);
                }
                if !entry.texts.is_empty() {
                    let more = random.below(9);
                    input.extend(random.bytes(more).iter().map(|byte| byte % 3));
                }
                if let Some(letter) = input.first_mut().filter(|_| random.below(20) != 0) {
                    *letter = entry.message_type;
                }
                input
            },
            dialect_message,
        );
    }
}
