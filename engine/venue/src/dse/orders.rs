//! The messages of orders and trades, with the fields that the edition has.

use wire::dialect::{Role, Value};

use super::desk::Desk;
use super::listing::MAX_PRICE;
use super::pen;
use crate::market::book::Side;

/// A buyer's or a seller's letter.
fn letter(side: Side) -> Value<'static> {
    Value::Letter(side.code())
}

impl Desk {
    /// Yield of a bond at a price, for the forms that have one; below zero above the coupon's worth.
    pub(super) fn yield_at(&self, s: usize, price: u32) -> Option<Value<'static>> {
        let instrument = &self.instruments[s];
        let coupon = instrument.coupon?;
        let off = i64::from(instrument.reference) - i64::from(price.min(MAX_PRICE));
        let raw = i64::from(coupon) + off * 10;
        Some(u64::from(raw.clamp(-999_999, 9_999_999) as i32 as u32).into())
    }

    pub(super) fn write_add(&mut self, s: usize, now: u64, reference: u64, side: Side, shares: u32, price: u32) {
        let form = if self.participants { pen::ADD_PARTICIPANT } else { pen::ADD };
        let mut values = vec![
            (Role::Reference, reference.into()),
            (Role::Side, letter(side)),
            (Role::Quantity, shares.into()),
            (Role::Orderbook, self.orderbook(s)),
            (Role::Price, price.into()),
        ];
        if self.participants {
            values.push((Role::Company, (1 + self.rng.below(self.companies.min(250))).into()));
        }
        self.add_yield(&mut values, form, s, price);
        self.pen.write(now, form, &values);
    }

    pub(super) fn add_yield<'v>(
        &self,
        values: &mut Vec<(Role, Value<'v>)>,
        form: (u8, pen::Lengths),
        s: usize,
        price: u32,
    ) {
        if self.pen.is_grown(form)
            && let Some(raw) = self.yield_at(s, price)
        {
            values.push((Role::Yield, raw));
        }
    }

    /// `hushed` is the price of an execution that does not print.
    pub(super) fn write_execution(
        &mut self,
        now: u64,
        s: usize,
        reference: u64,
        shares: u32,
        number: u64,
        hushed: Option<u32>,
    ) {
        match hushed {
            Some(price) => self.write_priced(now, s, reference, shares, number, price, b'N'),
            None => self.pen.write(
                now,
                pen::EXECUTE,
                &[
                    (Role::Reference, reference.into()),
                    (Role::Quantity, shares.into()),
                    (Role::MatchNumber, number.into()),
                ],
            ),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    pub(super) fn write_priced(
        &mut self,
        now: u64,
        s: usize,
        reference: u64,
        shares: u32,
        number: u64,
        price: u32,
        printable: u8,
    ) {
        let mut values = vec![
            (Role::Reference, reference.into()),
            (Role::Quantity, shares.into()),
            (Role::MatchNumber, number.into()),
            (Role::Printable, Value::Letter(printable)),
            (Role::Price, price.into()),
        ];
        if self.pen.is_grown(pen::EXECUTE_PRICE) {
            values.push((Role::Orderbook, self.orderbook(s)));
        }
        self.pen.write(now, pen::EXECUTE_PRICE, &values);
    }

    pub(super) fn write_replace(&mut self, s: usize, now: u64, old: u64, new: u64, shares: u32, price: u32) {
        let mut values = vec![
            (Role::Reference, old.into()),
            (Role::NewReference, new.into()),
            (Role::Quantity, shares.into()),
            (Role::Price, price.into()),
        ];
        self.add_yield(&mut values, pen::REPLACE, s, price);
        self.pen.write(now, pen::REPLACE, &values);
    }

    pub(super) fn write_trade(&mut self, s: usize, now: u64, shares: u32, price: u32, number: u64, printable: u8) {
        let mut values = vec![
            (Role::Quantity, shares.into()),
            (Role::Orderbook, self.orderbook(s)),
            (Role::Printable, Value::Letter(printable)),
            (Role::Price, price.into()),
            (Role::MatchNumber, number.into()),
        ];
        self.add_yield(&mut values, pen::TRADE, s, price);
        self.pen.write(now, pen::TRADE, &values);
    }
}
