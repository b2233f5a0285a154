/* Prints what it reads through ticklane.h, for tests/c_header.rs. Compiled as C11 and as C++17.
 *
 *   reader PATH market|orders N|join [oldest]        every record and loss until there is nothing more
 *   reader PATH rows                                 directory, board rows and facts
 */
#include "ticklane.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static tl_record record;
static tl_row row;

static void print_record(void) {
    uint32_t i;
    printf("record %" PRIu64, record.n);
    for (i = 0; i < record.count; i++) printf(" %016" PRIx64, record.words[i]);
    printf(" | %c %u %u %u %u\n", tl_kind(&record), tl_flags(&record), tl_side_or_code(&record),
           tl_instrument_id(&record), tl_venue_sequence_low(&record));
}

static int poll_once(tl_reader *reader) {
    tl_lost lost;
    int found = tl_reader_poll(reader, &record, &lost);
    if (found == TL_RECORD) print_record();
    if (found == TL_LOST) printf("lost %" PRIu64 " %" PRIu64 " %d\n", lost.first, lost.last, lost.reason);
    return found;
}

static void print_levels(int side) {
    uint32_t i;
    for (i = 0; i < tl_row_depth(&row, side); i++) {
        tl_level level = tl_row_level(&row, side, i);
        printf("level %d %u %" PRId64 " %" PRIu64 " %u\n", side, i, level.price, level.quantity, level.orders);
    }
}

static void print_rows(const tl_segment *lane) {
    uint64_t index, i;
    printf("epoch %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", lane->epoch, lane->incarnation, lane->old_epoch);
    printf("state %" PRIu64 " alive %d\n", tl_state(lane), tl_writer_alive(lane));
    printf("counter %" PRIu64 "\n", tl_counter(lane, TL_COUNTER_PUBLISHED));
    for (index = 0; index < tl_directory_count(lane) + 1; index++) {
        tl_instrument entry;
        int error = tl_directory_entry(lane, index, &entry);
        if (error != TL_OK) {
            printf("entry %" PRIu64 " error %d\n", index, error);
            continue;
        }
        printf("entry %" PRIu64 " %u %s %s %u %u %u %u %u %" PRId64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %u %" PRIu64 " ",
               index, entry.instrument_id, entry.symbol, entry.venue, entry.kind, entry.price_decimals,
               entry.quantity_decimals, entry.option_side, entry.depth_class, entry.tick, entry.lot, entry.expiry_ns,
               entry.strike, entry.underlying, entry.provider_code);
        for (i = 0; i < TL_PROVIDER_TRAITS_BYTES; i++) printf("%02x", entry.provider_traits[i]);
        printf("\n");
        error = tl_board_read(lane, index, &row);
        printf("row %" PRIu64 " error %d", index, error);
        for (i = 0; error == TL_OK && i < TL_ROW_WORDS; i++) printf(" %016" PRIx64, row.words[i]);
        printf("\n");
        if (error != TL_OK) continue;
        print_levels(TL_BID);
        print_levels(TL_ASK);
    }
}

int main(int count, char **arguments) {
    tl_segment lane;
    tl_reader reader;
    int error;
    if (count < 3) return 2;
    error = tl_attach(&lane, arguments[1]);
    if (error != TL_OK) {
        printf("error %d: %s; found %" PRIx64 " %" PRIx64 "\n", error, tl_error_text(error), lane.found_version,
               lane.found_layout);
        return 1;
    }
    if (strcmp(arguments[2], "rows") == 0) {
        print_rows(&lane);
    } else if (count > 3) {
        tl_ring ring = strcmp(arguments[2], "orders") == 0 ? TL_RING_ORDERS : TL_RING_MARKET;
        tl_rejoin rejoin = count > 4 && strcmp(arguments[4], "oldest") == 0 ? TL_REJOIN_OLDEST : TL_REJOIN_LATEST;
        if (strcmp(arguments[3], "join") == 0)
            tl_reader_join(&reader, &lane, ring, rejoin);
        else
            tl_reader_at(&reader, &lane, ring, strtoull(arguments[3], NULL, 10), rejoin);
        while (poll_once(&reader) != TL_EMPTY) {}
        printf("cursor %" PRIu64 " head %" PRIu64 "\n", reader.cursor, tl_head(&reader));
    }
    tl_detach(&lane);
    return 0;
}
