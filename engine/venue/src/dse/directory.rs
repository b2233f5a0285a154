//! The start of the day: tick tables, companies, orderbooks, reference prices, states.

use wire::dialect::{Role, Value};

use super::listing::{INDEX_BASE, INDICES, PRICE_TICKS};
use super::{DseMarket, Phase, SPIN_GAP_NS, pen};

impl DseMarket {
    pub(super) fn tell_ticks(&mut self) -> Phase {
        for (table, start, tick) in PRICE_TICKS {
            let values = [(Role::TableId, table.into()), (Role::Tick, tick.into()), (Role::TickStart, start.into())];
            self.write(pen::PRICE_TICK, &values);
        }
        let (table, one) = (1u32, 1u64);
        let values = [(Role::TableId, table.into()), (Role::Tick, one.into()), (Role::TickStart, one.into())];
        self.write(pen::QUANTITY_TICK, &values);
        Phase::Companies(0)
    }

    pub(super) fn tell_company(&mut self, at: u32) -> Phase {
        let company = &self.companies[at as usize];
        let values = [
            (Role::Company, company.number.into()),
            (Role::CompanyName, company.name.as_str().into()),
            (Role::CompanyTicker, company.ticker.as_str().into()),
        ];
        self.desk.pen.write(self.clock_ns, pen::COMPANY, &values);
        self.clock_ns += SPIN_GAP_NS;
        Phase::Companies(at + 1)
    }

    /// An instrument's orderbook, and behind them the indices'.
    pub(super) fn tell_orderbook(&mut self, at: u32) -> Phase {
        let is_grown = self.desk.pen.is_grown(pen::ORDERBOOK);
        let now = self.clock_ns;
        self.clock_ns += SPIN_GAP_NS;
        let (decimals, one) = (2u32, 1u64);
        let mut values: Vec<(Role, Value<'_>)> =
            vec![(Role::PriceDecimals, decimals.into()), (Role::Currency, "BDT".into())];
        let desk = &mut self.desk;
        let Some(instrument) = desk.instruments.get(at as usize).cloned() else {
            let index = at - self.config.instruments;
            let (code, name, _) = INDICES[index as usize];
            values.extend([
                (Role::Orderbook, (INDEX_BASE + index).into()),
                (Role::PriceType, Value::Letter(b'P')),
                (Role::SecurityCode, code.into()),
                (Role::Group, "INDEX".into()),
                (Role::MarketType, Value::Letter(b'I')),
                (Role::InstrumentClass, "INDEX".into()),
                (Role::SecurityName, name.into()),
            ]);
            desk.pen.write(now, pen::ORDERBOOK, &values);
            return Phase::Orderbooks(at + 1);
        };
        let (price_type, yield_decimals, maturity) = match instrument.coupon {
            Some(_) => (b'U', 4u32, 20_351_231u32),
            None => (b'P', 0, 0),
        };
        values.extend([
            (Role::Orderbook, instrument.orderbook.into()),
            (Role::PriceType, Value::Letter(price_type)),
            (Role::Isin, instrument.isin.as_str().into()),
            (Role::SecurityCode, instrument.code.as_str().into()),
            (Role::Group, instrument.group.into()),
            (Role::MinimumQuantity, one.into()),
            (Role::QuantityTickTable, one.into()),
            (Role::PriceTickTable, instrument.tick_table.into()),
            (Role::MarketType, Value::Letter(instrument.market_type)),
            (Role::Company, instrument.company.into()),
            (Role::ListingType, Value::Letter(instrument.category)),
            (Role::Sector, instrument.sector.into()),
            (Role::InstrumentClass, instrument.class.into()),
            (Role::SecurityName, instrument.name.as_str().into()),
        ]);
        if is_grown {
            values.extend([(Role::MaturityDate, maturity.into()), (Role::YieldDecimals, yield_decimals.into())]);
        }
        desk.pen.write(now, pen::ORDERBOOK, &values);
        Phase::Orderbooks(at + 1)
    }

    /// An order that is none: the price of yesterday.
    pub(super) fn tell_reference(&mut self, at: u32) -> Phase {
        let s = at as usize;
        let values = [
            (Role::Side, Value::Letter(b' ')),
            (Role::Orderbook, self.desk.orderbook(s)),
            (Role::Price, self.desk.instruments[s].reference.into()),
        ];
        self.write(pen::ADD, &values);
        Phase::References(at + 1)
    }

    pub(super) fn tell_state(&mut self, at: u32) -> Phase {
        self.write_state(at as usize, b'T');
        Phase::States(at + 1)
    }

    pub(super) fn write_state(&mut self, s: usize, state: u8) {
        self.desk.instruments[s].is_open = state == b'T';
        let (state, reason) = (Value::Letter(state), Value::Letter(b' '));
        let values = [(Role::Orderbook, self.desk.orderbook(s)), (Role::State, state), (Role::Reason, reason)];
        self.write(pen::ACTION, &values);
    }
}
