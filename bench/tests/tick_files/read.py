"""Reads a tick file with the tools that people use, and prints its sums as JSON: see python.rs."""

import json
import sys
from collections import Counter

PRICE_NONE = 2**63 - 1
# Flag of the bus: a trade that does not count. DBN has none of them, Parquet says it.
NOT_PRINTED = 8


def sums(rows, actions, symbols, prices, quantities):
    return {
        "rows": rows,
        "actions": dict(Counter(actions)),
        "symbols": dict(Counter(symbols)),
        "price": str(sum(prices)),
        "quantity": str(sum(quantities)),
    }


def dbn(path):
    import databento

    store = databento.DBNStore.from_file(path)
    schema = str(store.schema)
    frame = store.to_df(price_type="fixed", map_symbols=True)
    about = {"schema": schema, "dataset": store.dataset, "tz": str(frame.index.tz)}
    records = list(store)
    assert len(records) == len(frame), (len(records), len(frame))
    if schema == "definition":
        actions = frame["security_update_action"]
        # The file's own names, and those of its records.
        assert list(frame["symbol"]) == list(frame["raw_symbol"])
        return about, sums(len(frame), actions, frame["symbol"], [0], [0])
    # Summed by Python: numpy's integers wrap round.
    prices = [price for price in map(int, frame["price"]) if price != PRICE_NONE]
    return about, sums(len(frame), frame["action"], frame["symbol"], prices, map(int, frame["size"]))


def parquet(path):
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    # The file's own words: without an Arrow schema in the file, the table has none.
    meta = {key.decode(): value.decode() for key, value in pyarrow.parquet.read_metadata(path).metadata.items()}
    about = {
        "schema": meta["ticklane.schema"],
        "dataset": meta["ticklane.dataset"],
        "tz": table.schema.field("ts_recv").type.tz,
    }
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    count = table.num_rows
    if about["schema"] == "definitions":
        assert columns["symbol"] == columns["raw_symbol"]
        return about, sums(count, ["A"] * count, columns["symbol"], [0], [0])
    if about["schema"] == "quotes":
        best = {"B": "bid", "S": "ask"}
        sides = [best.get(side) for side in columns["side"]]
        value = lambda what: [columns[f"{side}_{what}"][i] if side else None for i, side in enumerate(sides)]
        columns["price"], columns["quantity"] = value("price"), value("quantity")
    # What DBN leaves out: trades that do not count, and broken ones.
    counts = lambda i: columns["action"][i] != "B" and not (
        columns["action"][i] == "T" and columns["flags"][i] & NOT_PRINTED
    )
    rows = [i for i in range(count) if counts(i)]
    of = lambda name: [columns[name][i] for i in rows]
    some = lambda name: [value for value in of(name) if value is not None]
    return about, sums(len(rows), of("action"), of("symbol"), some("price"), some("quantity"))


about, result = (parquet if sys.argv[1].endswith(".parquet") else dbn)(sys.argv[1])
print(json.dumps({"about": about, **result}))
