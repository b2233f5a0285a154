/*
 * ticklane.h: read Ticklane's shared memory from C11 or C++17. Nothing to link.
 *
 * A lane is one file, `<runtime directory>/<lane>.seg`, mapped read-only. It holds two broadcast rings (`orders`: every
 * order-level event; `market`: quotes, levels, trades, status, gaps), the board (latest values, one row per
 * instrument), the directory (append-only instruments) and counters. Everything is little-endian 64-bit words, and every
 * shared word is read with an atomic load: readers race the writer by design, and prove afterwards that they won.
 *
 *     tl_segment lane;
 *     int error = tl_attach(&lane, "/run/ticklane/main/lane0.seg");
 *     if (error) { fprintf(stderr, "%s\n", tl_error_text(error)); return 1; }
 *     static tl_record record;                    (3 KB: keep it off small stacks)
 *     tl_lost lost;
 *     tl_reader reader;
 *     tl_reader_join(&reader, &lane, TL_RING_MARKET, TL_REJOIN_LATEST);
 *     for (;;)
 *         switch (tl_reader_poll(&reader, &record, &lost)) {
 *         case TL_RECORD: use(&record); break;
 *         case TL_LOST:   numbers lost.first to lost.last will never come; break;
 *         case TL_EMPTY:  if (!tl_writer_alive(&lane)) ...; break;
 *         }
 *     tl_detach(&lane);
 *
 * Rules
 *   - x86-64 or another little-endian 64-bit machine; GCC or Clang (`__atomic` builtins); POSIX. Include this header
 *     before others, or define _POSIX_C_SOURCE as 200809L yourself.
 *   - A segment is replaced, never resized: when its state is TL_STATE_CLOSED, or its writer has been silent and a new
 *     file stands at the path, read the old mapping to its end, then attach again. A restart record comes first there.
 *   - Should the owner truncate the file while it is mapped, the kernel answers reads with SIGBUS. No engine does.
 *   - Nothing here allocates, locks or writes. A tl_reader belongs to one thread; a tl_segment may be shared.
 *
 * Records
 *   A slot is 64 bytes: a stamp (2n+1 while number n is written, 2n+2 once it is whole) and 7 words. A record's first
 *   slot has 4 words of head and 3 of body; each further slot gives 6 more words of body. In tl_record.words the body
 *   begins at word 4 and continuations follow without a seam.
 *
 *     word 0  bits 0-7 kind, 8-15 flags, 16-23 slots, 24-31 side or code, 32-63 instrument id (0xffffffff: none)
 *     word 1  ts_event: venue time, ns since the UNIX epoch; 0: no venue message
 *     word 2  ts_recv: socket time, ns since the UNIX epoch
 *     word 3  bits 0-31 publish time minus ts_recv in ns (0xffffffff: that or more), 32-63 low half of venue sequence
 *
 *     Prices are signed, in 1e-9 of the currency; TL_PRICE_NONE: none. Quantities are unsigned, in 10^-decimals of the
 *     instrument (shares: 0 decimals); TL_QUANTITY_NONE: none. Session: 16 bytes of ASCII, space-padded.
 *
 *     kind                side or code      word 4             word 5             word 6
 *     A add               'B' bid 'S' ask   order id           price              quantity
 *     C cancel            'B' 'S'           order id           price              quantity taken away
 *     M modify            'B' 'S'           order id           price              new quantity
 *     F fill              'B' 'S'           order id           its own price      quantity filled (a cancel follows)
 *     R clear             'N'               0                  0                  0
 *     T trade             resting side, or  match id           price              quantity
 *                         'O' 'C' 'H': opening, closing, halt cross
 *     B trade break       'N'               match id           price or none      quantity or none
 *     Q quote             'B' 'S'           price or none      quantity           orders
 *     L level             'B' 'S'           price              quantity, 0: left  bits 0-31 orders, 32-63 position
 *     S status            TL_STATUS_*       bits 0-7 cause,    reason, 8 bytes    0
 *                                           8-15 venue letter  of ASCII
 *     P price band        'N'               reference price    lower price        upper price
 *     D instrument        'N'               directory row      depth class        provider code
 *     G gap               'N'               first sequence     last sequence      1 skipped at login, 2 not filled
 *     m mark              'N'               venue sequence     session            session
 *     N anomaly           TL_ANOMALY_*      venue sequence     subject            detail
 *     K skip              0                 next number        0                  0       (tl_reader_poll obeys it)
 *     V venue message     'N'               length in bytes    the bytes, 8 to a word, from here on
 *     I imbalance         'N'               paired quantity    imbalance          reference price
 *         words 7-9: far price or none, near price or none, letters (bits 0-7 direction, 8-15 cross, 16-23 variation)
 *     X restart           'N'               old epoch, 0: none old end            venue sequence, 0: none
 *         words 7-9: session, session, reason (0 unknown, 1 engine, 2 venue's session)
 *
 * Sources: design.md section 3, decisions.md 1 to 13. Rust's side of the same layout is the crate `shm_abi`; a test holds
 * the two together, over a live segment.
 */
#ifndef TICKLANE_H
#define TICKLANE_H

#if !defined(_POSIX_C_SOURCE) && !defined(_GNU_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || UINTPTR_MAX != UINT64_MAX
#error "ticklane.h needs a little-endian 64-bit machine"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* BEGIN GENERATED */
/* Written by tests/c_header.rs from the Rust constants. Do not edit. */

/* Version, sizes and limits. */
#define TL_MAGIC                 UINT64_C(0x454e414c4b434954)
#define TL_ABI_VERSION           UINT64_C(0x0000000100000002)
#define TL_LAYOUT_HASH           UINT64_C(0xeeb5f3a7239fa999)
#define TL_HEADER_BYTES          4096
#define TL_STATIC_WORDS          64
#define TL_SLOT_WORDS            7
#define TL_SPAN_MAX              64
#define TL_RECORD_WORDS_MAX      385
#define TL_CONTINUATION          128
#define TL_SKIP_WORD             4
#define TL_SEQUENCE_LIMIT        UINT64_C(0x0020000000000000)
#define TL_SLOTS_MIN             1024
#define TL_SLOTS_MAX             1073741824
#define TL_INSTRUMENTS_MAX       4194304
#define TL_DEPTH_BYTES_MAX       UINT64_C(0x0000001000000000)
#define TL_LANE_COUNTER_WORDS    128
#define TL_FEEDS_MAX             16
#define TL_FEED_WORDS            64
#define TL_ENTRY_WORDS           32
#define TL_ROW_WORDS             32
#define TL_ROW_RETRIES           64
#define TL_LEVEL_WORDS           3
#define TL_DEPTH_CLASS_MAX       200
#define TL_HEARTBEAT_LIMIT_NS    240000000
#define TL_SEGMENT_REPLAY        1
#define TL_INSTRUMENT_NONE       UINT64_C(0x00000000ffffffff)
#define TL_PROVIDER_TRAITS_BYTES 112
#define TL_NEWS_BYTES_MAX        16384
#define TL_DEPTH_CLASSES {0, 5, 10, 20, 50, 200}
#define TL_PRICE_NONE    INT64_MAX
#define TL_QUANTITY_NONE UINT64_MAX

/* Words of the header that are written once. */
#define TL_HEADER_MAGIC            0
#define TL_HEADER_ABI_VERSION      1
#define TL_HEADER_LAYOUT_HASH      2
#define TL_HEADER_SEGMENT_BYTES    3
#define TL_HEADER_BOOT_ID          4
#define TL_HEADER_EPOCH            6
#define TL_HEADER_INCARNATION      7
#define TL_HEADER_CREATED_NS       8
#define TL_HEADER_WRITER_PID       9
#define TL_HEADER_FLAGS            10
#define TL_HEADER_LANE_NAME        11
#define TL_HEADER_ORDERS_OFFSET    15
#define TL_HEADER_ORDERS_SLOTS     16
#define TL_HEADER_MARKET_OFFSET    17
#define TL_HEADER_MARKET_SLOTS     18
#define TL_HEADER_COUNTERS_OFFSET  19
#define TL_HEADER_FEEDS_OFFSET     20
#define TL_HEADER_FEEDS            21
#define TL_HEADER_DIRECTORY_OFFSET 22
#define TL_HEADER_INSTRUMENTS      23
#define TL_HEADER_BOARD_OFFSET     24
#define TL_HEADER_DEPTH_OFFSET     25
#define TL_HEADER_DEPTH_BYTES      26
#define TL_HEADER_OLD_EPOCH        27
#define TL_HEADER_CHECKSUM         63

/* Bytes of the header's live words. */
#define TL_LIVE_STATE           512
#define TL_LIVE_HEARTBEAT_NS    640
#define TL_LIVE_ORDERS_HEAD     768
#define TL_LIVE_MARKET_HEAD     896
#define TL_LIVE_WAKE            1024
#define TL_LIVE_DIRECTORY_COUNT 1152

/* tl_state. */
#define TL_STATE_RECOVERING 1
#define TL_STATE_LIVE       2
#define TL_STATE_CLOSED     3

/* Words of an entry of the feed table. */
#define TL_FEED_VERSION          0
#define TL_FEED_NAME             1
#define TL_FEED_STATE            5
#define TL_FEED_SESSION          6
#define TL_FEED_SESSION_ORDERS_N 8
#define TL_FEED_SESSION_MARKET_N 9
#define TL_FEED_SEQUENCE         10
#define TL_FEED_COUNTERS         16

/* Words of a directory entry. */
#define TL_ENTRY_INSTRUMENT_ID   0
#define TL_ENTRY_SYMBOL          1
#define TL_ENTRY_VENUE           5
#define TL_ENTRY_TRAITS          6
#define TL_ENTRY_TICK            7
#define TL_ENTRY_LOT             8
#define TL_ENTRY_DEPTH_AT        9
#define TL_ENTRY_EXPIRY_NS       10
#define TL_ENTRY_STRIKE          11
#define TL_ENTRY_UNDERLYING      12
#define TL_ENTRY_PROVIDER_CODE   13
#define TL_ENTRY_PROVIDER_TRAITS 14

/* Words of a board row. TOUCH: bits 0-23 orders at the best bid, 24-47 at the best ask, 48-55 levels in the window
   of bids, 56-63 of asks. STATUS: bits 0-7 TL_STATUS_*, 8-15 quality, 16-23 the venue's letter. Prices may be TL_PRICE_NONE. */
#define TL_ROW_VERSION        0
#define TL_ROW_MARKET_N       1
#define TL_ROW_TS_EVENT       2
#define TL_ROW_BID_PRICE      3
#define TL_ROW_BID_QUANTITY   4
#define TL_ROW_ASK_PRICE      5
#define TL_ROW_ASK_QUANTITY   6
#define TL_ROW_TOUCH          7
#define TL_ROW_STATUS         8
#define TL_ROW_LAST_PRICE     9
#define TL_ROW_LAST_QUANTITY  10
#define TL_ROW_LAST_MATCH     11
#define TL_ROW_LAST_TS        12
#define TL_ROW_OPEN           13
#define TL_ROW_HIGH           14
#define TL_ROW_LOW            15
#define TL_ROW_CLOSE          16
#define TL_ROW_VOLUME         17
#define TL_ROW_TURNOVER_LOW   18
#define TL_ROW_TURNOVER_HIGH  19
#define TL_ROW_TRADES         20
#define TL_ROW_PREVIOUS_CLOSE 21
#define TL_ROW_OPEN_INTEREST  22

/* Kinds of record. */
#define TL_KIND_ADD            65
#define TL_KIND_CANCEL         67
#define TL_KIND_MODIFY         77
#define TL_KIND_CLEAR          82
#define TL_KIND_FILL           70
#define TL_KIND_TRADE          84
#define TL_KIND_TRADE_BREAK    66
#define TL_KIND_QUOTE          81
#define TL_KIND_LEVEL          76
#define TL_KIND_STATUS         83
#define TL_KIND_IMBALANCE      73
#define TL_KIND_PRICE_BAND     80
#define TL_KIND_INSTRUMENT     68
#define TL_KIND_VENUE_MESSAGE  86
#define TL_KIND_GAP            71
#define TL_KIND_RESTART        88
#define TL_KIND_SKIP           75
#define TL_KIND_MARK           109
#define TL_KIND_ANOMALY        78
#define TL_KIND_OFFICIAL_PRICE 79
#define TL_KIND_INDICATIVE     105
#define TL_KIND_INDEX_VALUE    90
#define TL_KIND_NEWS           110

/* Codes of official prices. */
#define TL_OFFICIAL_REFERENCE 82
#define TL_OFFICIAL_CLOSE     67
#define TL_OFFICIAL_OPEN      79

/* Codes of clear records: the day begins anew; only the book is emptied. */
#define TL_CLEAR_DAY  78
#define TL_CLEAR_BOOK 75

/* Reasons of gap records. */
#define TL_GAP_SKIPPED_AT_LOGIN 1
#define TL_GAP_UNFILLED         2
#define TL_GAP_NO_SERVER        3
#define TL_GAP_OVERFLOW         4
#define TL_GAP_JUMP             5
#define TL_GAP_ABANDONED        6
#define TL_GAP_IMAGED           7
#define TL_GAP_JOINED_LATE      8
#define TL_GAP_RECORDING        9

/* The venue's letter of a status record about the session. */
#define TL_SESSION_UP      85
#define TL_SESSION_DOWN    68
#define TL_SESSION_ENDED   90
#define TL_SESSION_SUSPECT 71
#define TL_SESSION_IMAGE   73

/* First byte of attributes of X-stream venues in provider_traits; 'X' stands at MARK. */
#define TL_XSTREAM_ISIN         0
#define TL_XSTREAM_BOARD        12
#define TL_XSTREAM_SECTOR       20
#define TL_XSTREAM_CLASS        32
#define TL_XSTREAM_CURRENCY     44
#define TL_XSTREAM_LISTING_TYPE 47
#define TL_XSTREAM_MARKET_TYPE  48
#define TL_XSTREAM_PRICE_TYPE   49
#define TL_XSTREAM_NAME         50
#define TL_XSTREAM_MARK         111

/* Flags of a record: last of its venue event in this ring; a trade that is volume and no last price; part of an
   image; its book is not whole; a trade that is no volume; against a hidden order; ts_recv taken in user space; one ts_recv for several messages. */
#define TL_FLAG_LAST           128
#define TL_FLAG_VOLUME_ONLY    64
#define TL_FLAG_SNAPSHOT       32
#define TL_FLAG_SUSPECT        16
#define TL_FLAG_NOT_PRINTED    8
#define TL_FLAG_HIDDEN         4
#define TL_FLAG_RECV_USER      2
#define TL_FLAG_RECV_COALESCED 1

/* Trading status. */
#define TL_STATUS_UNKNOWN    0
#define TL_STATUS_PRE_OPEN   1
#define TL_STATUS_TRADING    2
#define TL_STATUS_QUOTE_ONLY 3
#define TL_STATUS_HALTED     4
#define TL_STATUS_PAUSED     5
#define TL_STATUS_POST_CLOSE 6
#define TL_STATUS_CLOSED     7

/* Codes of anomaly records. */
#define TL_ANOMALY_UNKNOWN            0
#define TL_ANOMALY_UNKNOWN_ORDER      1
#define TL_ANOMALY_OVERFILL           2
#define TL_ANOMALY_DUPLICATE_ORDER    3
#define TL_ANOMALY_UNKNOWN_TYPE       4
#define TL_ANOMALY_MALFORMED          5
#define TL_ANOMALY_BAD_FIELD          6
#define TL_ANOMALY_CROSSED            7
#define TL_ANOMALY_UNKNOWN_INSTRUMENT 8
#define TL_ANOMALY_TABLE_FULL         9

/* Kinds of instrument. */
#define TL_INSTRUMENT_UNKNOWN  0
#define TL_INSTRUMENT_EQUITY   1
#define TL_INSTRUMENT_INDEX    2
#define TL_INSTRUMENT_FUTURE   3
#define TL_INSTRUMENT_OPTION   4
#define TL_INSTRUMENT_BOND     5
#define TL_INSTRUMENT_CURRENCY 6
#define TL_INSTRUMENT_TEST     7

/* Counters of a lane, for tl_counter. */
#define TL_COUNTER_RECEIVED           0
#define TL_COUNTER_PUBLISHED          1
#define TL_COUNTER_DUPLICATES         2
#define TL_COUNTER_REJECTED           3
#define TL_COUNTER_REBUILT            4
#define TL_COUNTER_UNKNOWN_ORDER      5
#define TL_COUNTER_OVERFILL           6
#define TL_COUNTER_DUPLICATE_ORDER    7
#define TL_COUNTER_UNKNOWN_TYPE       8
#define TL_COUNTER_MALFORMED          9
#define TL_COUNTER_BAD_FIELD          10
#define TL_COUNTER_UNKNOWN_INSTRUMENT 11
#define TL_COUNTER_TABLE_FULL         12
#define TL_COUNTER_CROSSED            13
#define TL_COUNTER_GAP_MESSAGES       14
#define TL_COUNTER_GAPS               15
#define TL_COUNTER_QUOTE_EVENTS       16
#define TL_COUNTER_TRADES             17
#define TL_COUNTER_LIVE_ORDERS        18
#define TL_COUNTER_ORDER_LIMIT        19
#define TL_COUNTER_BURSTS             20
#define TL_COUNTER_BURST_MAX          21
#define TL_COUNTER_WAKES              22
#define TL_COUNTER_HOT_ALLOCATIONS    23
#define TL_COUNTER_EXTENDED           24
#define TL_COUNTER_LAG_NS             25
#define TL_COUNTER_LAG_MAX_NS         26
#define TL_COUNTER_RATE_PER_S         27
#define TL_COUNTER_UNREPAIRED         28
#define TL_COUNTER_REPAIRS            29

/* Counters of a lane's journal, for tl_counter. */
#define TL_COUNTER_JOURNAL_STATE          64
#define TL_COUNTER_JOURNAL_DURABLE_ORDERS 65
#define TL_COUNTER_JOURNAL_DURABLE_MARKET 66
#define TL_COUNTER_JOURNAL_LAG_ORDERS     67
#define TL_COUNTER_JOURNAL_LAG_MARKET     68
#define TL_COUNTER_JOURNAL_RECORDS        69
#define TL_COUNTER_JOURNAL_MISSING_SLOTS  70
#define TL_COUNTER_JOURNAL_HOLES          71
#define TL_COUNTER_JOURNAL_BLOCKS         72
#define TL_COUNTER_JOURNAL_BYTES          73
#define TL_COUNTER_JOURNAL_FILES          74
#define TL_COUNTER_JOURNAL_FILES_REMOVED  75
#define TL_COUNTER_JOURNAL_SYNCS          76
#define TL_COUNTER_JOURNAL_REFUSALS       77
#define TL_COUNTER_JOURNAL_SLOW_TIMES     78
#define TL_COUNTER_JOURNAL_IMAGES         79

/* Counters of a feed, in words from TL_FEED_COUNTERS on. */
#define TL_FEED_COUNTER_BYTES               0
#define TL_FEED_COUNTER_SEQUENCED_PACKETS   1
#define TL_FEED_COUNTER_UNSEQUENCED_PACKETS 2
#define TL_FEED_COUNTER_DEBUG_PACKETS       3
#define TL_FEED_COUNTER_HEARTBEATS          4
#define TL_FEED_COUNTER_CONNECTS            5
#define TL_FEED_COUNTER_LOGINS              6
#define TL_FEED_COUNTER_REJECTS             7
#define TL_FEED_COUNTER_DISCONNECTS         8
#define TL_FEED_COUNTER_PROTOCOL_ERRORS     9
#define TL_FEED_COUNTER_SILENCES            10
#define TL_FEED_COUNTER_SESSION_CHANGES     11
#define TL_FEED_COUNTER_LAST_BYTE_NS        12
#define TL_FEED_COUNTER_NEXT_SEQUENCE       13
#define TL_FEED_COUNTER_ADDRESS_INDEX       14
#define TL_FEED_COUNTER_MALFORMED_PACKETS   15
#define TL_FEED_COUNTER_FOREIGN_PACKETS     16
#define TL_FEED_COUNTER_ODD_PACKETS         17
#define TL_FEED_COUNTER_REQUESTS            18
#define TL_FEED_COUNTER_REQUEST_RETRIES     19
#define TL_FEED_COUNTER_ANSWERS             20
#define TL_FEED_COUNTER_RECOVERED           21
#define TL_FEED_COUNTER_STRAY_ANSWERS       22
#define TL_FEED_COUNTER_OPEN_HOLES          23
#define TL_FEED_COUNTER_HELD_MESSAGES       24
#define TL_FEED_COUNTER_IMAGES              25
#define TL_FEED_COUNTER_LINE_A_PACKETS      26
#define TL_FEED_COUNTER_LINE_A_MESSAGES     27
#define TL_FEED_COUNTER_LINE_A_WINS         28
#define TL_FEED_COUNTER_LINE_A_DUPLICATES   29
#define TL_FEED_COUNTER_LINE_A_SKIPPED      30
#define TL_FEED_COUNTER_LINE_A_BYTES        31
#define TL_FEED_COUNTER_LINE_A_LAST_NS      32
#define TL_FEED_COUNTER_LINE_A_LEAD_NS      33
#define TL_FEED_COUNTER_LINE_A_STATE        34
#define TL_FEED_COUNTER_LINE_A_KERNEL_DROPS 35
#define TL_FEED_COUNTER_LINE_B_PACKETS      36
#define TL_FEED_COUNTER_LINE_B_MESSAGES     37
#define TL_FEED_COUNTER_LINE_B_WINS         38
#define TL_FEED_COUNTER_LINE_B_DUPLICATES   39
#define TL_FEED_COUNTER_LINE_B_SKIPPED      40
#define TL_FEED_COUNTER_LINE_B_BYTES        41
#define TL_FEED_COUNTER_LINE_B_LAST_NS      42
#define TL_FEED_COUNTER_LINE_B_LEAD_NS      43
#define TL_FEED_COUNTER_LINE_B_STATE        44
#define TL_FEED_COUNTER_LINE_B_KERNEL_DROPS 45
#define TL_FEED_COUNTER_SOURCE_DONE         46
#define TL_FEED_COUNTER_SOURCE_TOTAL        47
/* END GENERATED */

/* ---- Words -------------------------------------------------------------------------------------------------------- */

/* The word at byte `at`. Relaxed: order comes from the fences below, never from the load. */
static inline uint64_t tl_load(const unsigned char *base, uint64_t at) {
    return __atomic_load_n((const uint64_t *)(const void *)(base + at), __ATOMIC_RELAXED);
}

/* What is loaded after this call is at least as new as what was loaded before it says. */
static inline void tl_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }

/* CLOCK_MONOTONIC in ns: the clock of heartbeats. */
static inline uint64_t tl_monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- Segments ----------------------------------------------------------------------------------------------------- */

enum {
    TL_OK = 0,
    TL_ERROR_MISSING = -1,    /* no such file: is the engine running, with this runtime directory and lane? */
    TL_ERROR_SYSTEM = -2,     /* open, fstat or mmap failed: see errno */
    TL_ERROR_FOREIGN = -3,    /* not a regular file, or it does not begin with TICKLANE */
    TL_ERROR_VERSION = -4,    /* another layout: found_version and found_layout against TL_ABI_VERSION, TL_LAYOUT_HASH */
    TL_ERROR_DAMAGED = -5,    /* checksum, sizes, offsets or length are wrong: cut short or overwritten */
    TL_ERROR_STALE = -6,      /* made before the last boot of this host */
    TL_ERROR_NO_ROW = -7,     /* beyond the directory's count, or its entry leads nowhere */
    TL_ERROR_BUSY = -8,       /* the writer was in the row at each try: try again */
    TL_ERROR_WRITER_DEAD = -9 /* the row is half written and its writer shows no life: it will never be whole */
};

static inline const char *tl_error_text(int error) {
    switch (error) {
    case TL_OK: return "no error";
    case TL_ERROR_MISSING: return "no segment there: is the engine running, with this runtime directory and lane?";
    case TL_ERROR_SYSTEM: return "the system refused to open or map the segment: see errno";
    case TL_ERROR_FOREIGN: return "not a Ticklane segment";
    case TL_ERROR_VERSION: return "the segment has another version of the layout: use programs of one release";
    case TL_ERROR_DAMAGED: return "the segment is damaged or cut short";
    case TL_ERROR_STALE: return "the segment was made before the last boot of this host";
    case TL_ERROR_NO_ROW: return "there is no such row";
    case TL_ERROR_BUSY: return "the row was being written at each try";
    case TL_ERROR_WRITER_DEAD: return "the row is half written and its writer is dead";
    default: return "unknown error";
    }
}

/* A mapped lane. Sizes and offsets were checked against the file; use the functions below rather than the fields. */
typedef struct tl_segment {
    const unsigned char *base;
    uint64_t bytes;
    uint64_t counters, feeds, directory, instruments, board, depth, depth_bytes;
    uint64_t ring_offset[2], ring_slots[2];
    uint64_t epoch;       /* names the sequence; new at each start of the writer */
    uint64_t incarnation; /* names this mapping */
    uint64_t old_epoch;   /* epoch before this one; 0: unknown */
    uint64_t flags;       /* TL_SEGMENT_REPLAY */
    uint64_t found_version, found_layout; /* what the file says, also after TL_ERROR_VERSION */
} tl_segment;

/* Checksum of header words: FNV-1a with a rotation, over whole words. */
static inline uint64_t tl_fnv_words(const uint64_t *words, size_t count) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    size_t i;
    for (i = 0; i < count; i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x100000001b3);
        hash = hash << 29 | hash >> 35;
    }
    return hash;
}

/* Boot id of this host as the header holds it; zeros when the kernel does not tell. */
static inline void tl_boot_id(uint64_t id[2]) {
    char text[64];
    ssize_t length = 0, i;
    int digits = 0, fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    id[0] = id[1] = 0;
    if (fd < 0) return;
    length = read(fd, text, sizeof text);
    close(fd);
    for (i = 0; i < length && digits < 32; i++) {
        char c = text[i];
        int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (value < 0) continue;
        id[digits / 16] = id[digits / 16] << 4 | (uint64_t)value;
        digits++;
    }
}

static inline uint64_t tl_section(uint64_t *at, uint64_t bytes) {
    uint64_t start = *at;
    *at = (start + bytes + 4095) & ~UINT64_C(4095);
    return start;
}

static inline int tl_ring_fits(uint64_t slots) {
    return slots >= TL_SLOTS_MIN && slots <= TL_SLOTS_MAX && (slots & (slots - 1)) == 0;
}

/* Sizes must be in range, and every offset where this version puts it: nothing a header says leads out of the file. */
static inline int tl_check_layout(tl_segment *s, const uint64_t *w) {
    uint64_t at = TL_HEADER_BYTES;
    s->ring_slots[0] = w[TL_HEADER_ORDERS_SLOTS];
    s->ring_slots[1] = w[TL_HEADER_MARKET_SLOTS];
    s->instruments = w[TL_HEADER_INSTRUMENTS];
    s->depth_bytes = w[TL_HEADER_DEPTH_BYTES];
    if (!tl_ring_fits(s->ring_slots[0]) || !tl_ring_fits(s->ring_slots[1])) return 0;
    if (s->instruments == 0 || s->instruments > TL_INSTRUMENTS_MAX) return 0;
    if (s->depth_bytes > TL_DEPTH_BYTES_MAX || s->depth_bytes % 64 != 0) return 0;
    s->counters = tl_section(&at, TL_LANE_COUNTER_WORDS * 8);
    s->feeds = tl_section(&at, TL_FEEDS_MAX * TL_FEED_WORDS * 8);
    s->directory = tl_section(&at, s->instruments * TL_ENTRY_WORDS * 8);
    s->board = tl_section(&at, s->instruments * TL_ROW_WORDS * 8);
    s->depth = tl_section(&at, s->depth_bytes);
    s->ring_offset[0] = tl_section(&at, s->ring_slots[0] * 64);
    s->ring_offset[1] = tl_section(&at, s->ring_slots[1] * 64);
    return w[TL_HEADER_COUNTERS_OFFSET] == s->counters && w[TL_HEADER_FEEDS_OFFSET] == s->feeds &&
           w[TL_HEADER_FEEDS] == TL_FEEDS_MAX && w[TL_HEADER_DIRECTORY_OFFSET] == s->directory &&
           w[TL_HEADER_BOARD_OFFSET] == s->board && w[TL_HEADER_DEPTH_OFFSET] == s->depth &&
           w[TL_HEADER_ORDERS_OFFSET] == s->ring_offset[0] && w[TL_HEADER_MARKET_OFFSET] == s->ring_offset[1] &&
           w[TL_HEADER_SEGMENT_BYTES] == at && s->bytes == at;
}

static inline int tl_check(tl_segment *s) {
    uint64_t words[TL_STATIC_WORDS], boot[2];
    size_t i;
    /* Copied first: what is checked is what is used. */
    for (i = 0; i < TL_STATIC_WORDS; i++) words[i] = tl_load(s->base, i * 8);
    if (words[TL_HEADER_MAGIC] != TL_MAGIC) return TL_ERROR_FOREIGN;
    s->found_version = words[TL_HEADER_ABI_VERSION];
    s->found_layout = words[TL_HEADER_LAYOUT_HASH];
    if (s->found_version >> 32 != TL_ABI_VERSION >> 32 || s->found_layout != TL_LAYOUT_HASH) return TL_ERROR_VERSION;
    if (tl_fnv_words(words, TL_HEADER_CHECKSUM) != words[TL_HEADER_CHECKSUM]) return TL_ERROR_DAMAGED;
    if (!tl_check_layout(s, words)) return TL_ERROR_DAMAGED;
    tl_boot_id(boot);
    if (words[TL_HEADER_BOOT_ID] != boot[0] || words[TL_HEADER_BOOT_ID + 1] != boot[1]) return TL_ERROR_STALE;
    s->epoch = words[TL_HEADER_EPOCH];
    s->incarnation = words[TL_HEADER_INCARNATION];
    s->old_epoch = words[TL_HEADER_OLD_EPOCH];
    s->flags = words[TL_HEADER_FLAGS];
    return TL_OK;
}

/* Unmaps. Nothing made from the segment may be used afterwards. */
static inline void tl_detach(tl_segment *s) {
    if (s->base) munmap((void *)(uintptr_t)s->base, (size_t)s->bytes);
    s->base = NULL;
}

/* Maps the segment at `path` read-only and checks all of its header. Returns TL_OK or one of TL_ERROR_*. */
static inline int tl_attach(tl_segment *s, const char *path) {
    struct stat facts;
    void *base = MAP_FAILED;
    int error, fd;
    memset(s, 0, sizeof *s);
    /* O_NONBLOCK: a fifo in its place must not hang us. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT ? TL_ERROR_MISSING : errno == ELOOP ? TL_ERROR_FOREIGN : TL_ERROR_SYSTEM;
    if (fstat(fd, &facts) != 0) {
        error = TL_ERROR_SYSTEM;
    } else if (!S_ISREG(facts.st_mode) || facts.st_size < (off_t)TL_HEADER_BYTES) {
        error = TL_ERROR_FOREIGN;
    } else {
        base = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_SHARED, fd, 0);
        error = base == MAP_FAILED ? TL_ERROR_SYSTEM : TL_OK;
    }
    close(fd);
    if (error != TL_OK) return error;
    s->base = (const unsigned char *)base;
    s->bytes = (uint64_t)facts.st_size;
    error = tl_check(s);
    if (error != TL_OK) tl_detach(s);
    return error;
}

/* TL_STATE_*, as the writer says. A killed writer says nothing: see tl_writer_alive. */
static inline uint64_t tl_state(const tl_segment *s) { return tl_load(s->base, TL_LIVE_STATE); }

/* Nanoseconds since the writer's last sign of life. */
static inline uint64_t tl_heartbeat_age_ns(const tl_segment *s) {
    uint64_t beat = tl_load(s->base, TL_LIVE_HEARTBEAT_NS), now = tl_monotonic_ns();
    return now > beat ? now - beat : 0;
}

/* Whether the writer has shown life within TL_HEARTBEAT_LIMIT_NS. */
static inline int tl_writer_alive(const tl_segment *s) { return tl_heartbeat_age_ns(s) <= TL_HEARTBEAT_LIMIT_NS; }

/* Lane counter `index` (TL_COUNTER_*); 0 beyond the last. */
static inline uint64_t tl_counter(const tl_segment *s, uint64_t index) {
    return index < TL_LANE_COUNTER_WORDS ? tl_load(s->base, s->counters + index * 8) : 0;
}

/* ---- Rings -------------------------------------------------------------------------------------------------------- */

typedef enum tl_ring { TL_RING_ORDERS = 0, TL_RING_MARKET = 1 } tl_ring;

/* Where a reader that was lapped, or that joins, goes on. */
typedef enum tl_rejoin {
    TL_REJOIN_LATEST = 0, /* at the head: the freshest data and the largest loss */
    TL_REJOIN_OLDEST = 1  /* three quarters of the ring behind it: the smallest loss that is not lapped at once */
} tl_rejoin;

enum { TL_EMPTY = 0, TL_RECORD = 1, TL_LOST = 2 };
enum {
    TL_LOST_LAPPED = 0,   /* the writer overtook the reader */
    TL_LOST_SKIPPED = 1,  /* the writer itself declared the numbers missing */
    TL_LOST_MALFORMED = 2 /* the slots held something that no writer of this layout writes */
};

/* Numbers that this reader will never see, first and last inclusive. Exact in slots. */
typedef struct tl_lost {
    uint64_t first, last;
    int reason;
} tl_lost;

/* A whole record: the number of its first slot and its words. */
typedef struct tl_record {
    uint64_t n;
    uint32_t count; /* words in use: 7, or 7 + 6 per further slot */
    uint64_t words[TL_RECORD_WORDS_MAX];
} tl_record;

/* A private cursor over a ring; the writer knows of none. */
typedef struct tl_reader {
    const unsigned char *slots;
    const unsigned char *head;
    uint64_t slot_count;
    uint64_t cursor; /* number of the next record it will look for */
    tl_rejoin rejoin;
} tl_reader;

static inline const unsigned char *tl_slot(const tl_reader *r, uint64_t n) {
    return r->slots + (n & (r->slot_count - 1)) * 64;
}
static inline uint64_t tl_whole(uint64_t n) { return 2 * n + 2; }
static inline uint64_t tl_stamp(const tl_reader *r, uint64_t n) { return tl_load(tl_slot(r, n), 0); }
static inline unsigned tl_span(uint64_t word0) { return (unsigned)(word0 >> 16 & 0xff); }

/* The public head: the next number to be written, as of the writer's last burst. */
static inline uint64_t tl_head(const tl_reader *r) {
    uint64_t head = tl_load(r->head, 0);
    tl_acquire(); /* everything below the head is whole */
    return head < TL_SEQUENCE_LIMIT ? head : TL_SEQUENCE_LIMIT;
}

static inline int tl_begins_record(const tl_reader *r, uint64_t n) {
    uint64_t stamp = tl_stamp(r, n), word0;
    tl_acquire();
    word0 = tl_load(tl_slot(r, n), 8);
    tl_acquire();
    return stamp == tl_whole(n) && tl_stamp(r, n) == stamp && (tl_span(word0) & TL_CONTINUATION) == 0;
}

static inline uint64_t tl_max(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Where to go on, not behind `lowest`, given that the writer has begun `reached`. Looks at no more slots than there are. */
static inline uint64_t tl_rejoin_at(const tl_reader *r, uint64_t lowest, uint64_t reached) {
    uint64_t head = tl_head(r), end, back = r->slot_count / 4 * 3, n;
    if (r->rejoin == TL_REJOIN_LATEST && head >= lowest) return head;
    end = tl_max(tl_max(head, reached < TL_SEQUENCE_LIMIT ? reached : TL_SEQUENCE_LIMIT), lowest);
    for (n = tl_max(end > back ? end - back : 0, lowest); n < end; n++)
        if (tl_begins_record(r, n)) return n;
    return end;
}

/* A reader that starts at number `n`: a cursor from an earlier record, plus its slots. */
static inline void tl_reader_at(tl_reader *r, const tl_segment *s, tl_ring ring, uint64_t n, tl_rejoin rejoin) {
    r->slots = s->base + s->ring_offset[ring];
    r->head = s->base + (ring == TL_RING_ORDERS ? TL_LIVE_ORDERS_HEAD : TL_LIVE_MARKET_HEAD);
    r->slot_count = s->ring_slots[ring];
    r->cursor = n < TL_SEQUENCE_LIMIT ? n : TL_SEQUENCE_LIMIT;
    r->rejoin = rejoin;
}

/* A reader that starts where `rejoin` says. */
static inline void tl_reader_join(tl_reader *r, const tl_segment *s, tl_ring ring, tl_rejoin rejoin) {
    tl_reader_at(r, s, ring, 0, rejoin);
    r->cursor = tl_rejoin_at(r, 0, 0);
}

static inline int tl_lose(tl_reader *r, tl_lost *lost, uint64_t next, int reason) {
    lost->first = r->cursor;
    lost->last = next - 1;
    lost->reason = reason;
    r->cursor = next;
    return TL_LOST;
}

static inline int tl_lapped(tl_reader *r, tl_lost *lost, uint64_t seen) {
    uint64_t reached = seen == 0 ? 0 : (seen - 1) / 2;
    return tl_lose(r, lost, tl_rejoin_at(r, r->cursor + 1, reached), TL_LOST_LAPPED);
}

/* A number that does not lie ahead is not believed. */
static inline int tl_skip(tl_reader *r, tl_lost *lost, uint64_t end, uint64_t next) {
    int believed = next >= end && next < TL_SEQUENCE_LIMIT;
    return tl_lose(r, lost, believed ? next : end, believed ? TL_LOST_SKIPPED : TL_LOST_MALFORMED);
}

/* Looks once: TL_EMPTY, TL_RECORD (record is filled), or TL_LOST (lost is filled; declared before what follows it). */
static inline int tl_reader_poll(tl_reader *r, tl_record *record, tl_lost *lost) {
    uint64_t n = r->cursor, before = tl_stamp(r, n), m, stamp, *words = record->words;
    const unsigned char *slot = tl_slot(r, n);
    unsigned span, index, i;
    int continued = 1;
    tl_acquire(); /* the words of a whole slot are visible from here on */
    if (before < tl_whole(n)) return TL_EMPTY;
    for (i = 0; i < TL_SLOT_WORDS; i++) words[i] = tl_load(slot, 8 + i * 8);
    span = tl_span(words[0]);
    if (span < 1 || span > TL_SPAN_MAX || span > r->slot_count) {
        tl_acquire();
        if (tl_stamp(r, n) != tl_whole(n)) return tl_lapped(r, lost, before);
        return tl_lose(r, lost, n + 1, span & TL_CONTINUATION ? TL_LOST_LAPPED : TL_LOST_MALFORMED);
    }
    for (index = 1; index < span; index++) {
        slot = tl_slot(r, n + index);
        continued &= tl_span(tl_load(slot, 8)) == (TL_CONTINUATION | index);
        for (i = 1; i < TL_SLOT_WORDS; i++)
            words[TL_SLOT_WORDS + (index - 1) * (TL_SLOT_WORDS - 1) + i - 1] = tl_load(slot, 8 + i * 8);
    }
    tl_acquire(); /* a torn word implies a changed stamp below */
    if (tl_stamp(r, n) != tl_whole(n)) return tl_lapped(r, lost, before);
    for (m = n + 1; m < n + span; m++) {
        stamp = tl_stamp(r, m);
        if (stamp > tl_whole(m)) return tl_lapped(r, lost, before);
        if (stamp < tl_whole(m)) return tl_lose(r, lost, n + 1, TL_LOST_MALFORMED);
    }
    if (!continued) return tl_lose(r, lost, n + span, TL_LOST_MALFORMED);
    if ((words[0] & 0xff) == TL_KIND_SKIP) return tl_skip(r, lost, n + span, words[TL_SKIP_WORD]);
    record->n = n;
    record->count = TL_SLOT_WORDS + (span - 1) * (TL_SLOT_WORDS - 1);
    r->cursor = n + span;
    return TL_RECORD;
}

/* Fields of a record's head; see the top of this file. */
static inline uint8_t tl_kind(const tl_record *r) { return (uint8_t)r->words[0]; }
static inline uint8_t tl_flags(const tl_record *r) { return (uint8_t)(r->words[0] >> 8); }
static inline uint8_t tl_side_or_code(const tl_record *r) { return (uint8_t)(r->words[0] >> 24); }
static inline uint32_t tl_instrument_id(const tl_record *r) { return (uint32_t)(r->words[0] >> 32); }
static inline uint64_t tl_ts_event(const tl_record *r) { return r->words[1]; }
static inline uint64_t tl_ts_recv(const tl_record *r) { return r->words[2]; }
static inline uint32_t tl_publish_delay_ns(const tl_record *r) { return (uint32_t)r->words[3]; }
static inline uint32_t tl_venue_sequence_low(const tl_record *r) { return (uint32_t)(r->words[3] >> 32); }

/* ---- Directory ---------------------------------------------------------------------------------------------------- */

/* One instrument. Texts are NUL-terminated. */
typedef struct tl_instrument {
    uint32_t instrument_id;
    char symbol[33], venue[9];
    uint8_t kind; /* TL_INSTRUMENT_* */
    uint8_t price_decimals, quantity_decimals;
    uint8_t option_side;  /* 'C', 'P' or 0 */
    uint16_t depth_class; /* levels per side of its window */
    int64_t tick;         /* smallest price step, 1e-9; 0: not known */
    uint64_t lot;         /* round lot; 0: not known */
    uint64_t expiry_ns;   /* ns since the UNIX epoch; 0: none */
    int64_t strike;       /* TL_PRICE_NONE: none */
    uint32_t underlying;  /* id; UINT32_MAX: none */
    uint64_t provider_code;
    unsigned char provider_traits[TL_PROVIDER_TRAITS_BYTES]; /* X-stream venues: see TL_XSTREAM_* */
    uint64_t depth_at; /* byte in the depth area */
} tl_instrument;

/* Entries that can be read now: rows 0 to count - 1. Grows only. */
static inline uint64_t tl_directory_count(const tl_segment *s) {
    uint64_t count = tl_load(s->base, TL_LIVE_DIRECTORY_COUNT);
    tl_acquire(); /* the entries and rows below the count are there */
    return count < s->instruments ? count : s->instruments;
}

/* Copies `size` bytes of text and ends it at the first byte that is not printable ASCII. */
static inline void tl_text(char *text, const uint64_t *words, size_t size) {
    size_t i;
    memcpy(text, words, size);
    for (i = 0; i < size && text[i] >= ' ' && text[i] <= '~'; i++) {}
    while (i > 0 && text[i - 1] == ' ') i--;
    memset(text + i, 0, size + 1 - i);
}

/* Reads entry `row`: TL_OK or TL_ERROR_NO_ROW. */
static inline int tl_directory_entry(const tl_segment *s, uint64_t row, tl_instrument *out) {
    uint64_t words[TL_ENTRY_WORDS], traits;
    size_t i;
    if (row >= tl_directory_count(s)) return TL_ERROR_NO_ROW;
    for (i = 0; i < TL_ENTRY_WORDS; i++) words[i] = tl_load(s->base, s->directory + (row * TL_ENTRY_WORDS + i) * 8);
    out->instrument_id = (uint32_t)words[TL_ENTRY_INSTRUMENT_ID];
    tl_text(out->symbol, words + TL_ENTRY_SYMBOL, 32);
    tl_text(out->venue, words + TL_ENTRY_VENUE, 8);
    traits = words[TL_ENTRY_TRAITS];
    out->kind = (uint8_t)traits;
    out->price_decimals = (uint8_t)(traits >> 8);
    out->quantity_decimals = (uint8_t)(traits >> 16);
    out->option_side = (uint8_t)(traits >> 24);
    out->depth_class = (uint16_t)(traits >> 32);
    out->tick = (int64_t)words[TL_ENTRY_TICK];
    out->lot = words[TL_ENTRY_LOT];
    out->expiry_ns = words[TL_ENTRY_EXPIRY_NS];
    out->strike = (int64_t)words[TL_ENTRY_STRIKE];
    out->underlying = (uint32_t)words[TL_ENTRY_UNDERLYING];
    out->provider_code = words[TL_ENTRY_PROVIDER_CODE];
    memcpy(out->provider_traits, words + TL_ENTRY_PROVIDER_TRAITS, TL_PROVIDER_TRAITS_BYTES);
    out->depth_at = words[TL_ENTRY_DEPTH_AT];
    return TL_OK;
}

/* ---- Board -------------------------------------------------------------------------------------------------------- */

enum { TL_BID = 0, TL_ASK = 1 };

/* Words of one side of a window: whole cache lines. */
static inline uint64_t tl_side_words(uint64_t levels) { return (levels * TL_LEVEL_WORDS + 7) / 8 * 8; }

/* A copy of one row: words by TL_ROW_*, and the levels of its window. */
typedef struct tl_row {
    uint64_t words[TL_ROW_WORDS];
    uint32_t levels; /* per side that the window can hold */
    uint64_t depth[2 * ((TL_DEPTH_CLASS_MAX * TL_LEVEL_WORDS + 7) / 8 * 8)];
} tl_row;

typedef struct tl_level {
    int64_t price;
    uint64_t quantity;
    uint32_t orders;
} tl_level;

static inline int tl_is_depth_class(unsigned levels) {
    static const uint16_t classes[] = TL_DEPTH_CLASSES;
    size_t i;
    for (i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (classes[i] == levels) return 1;
    return 0;
}

/*
 * Copies row `row`, trying TL_ROW_RETRIES times while the writer is in it. TL_OK, TL_ERROR_NO_ROW, TL_ERROR_BUSY, or
 * TL_ERROR_WRITER_DEAD; `out` holds nothing of use after an error.
 */
static inline int tl_board_read(const tl_segment *s, uint64_t row, tl_row *out) {
    tl_instrument entry;
    uint64_t at = s->board + row * TL_ROW_WORDS * 8, depth_words, version, i;
    int attempt, error = tl_directory_entry(s, row, &entry);
    if (error != TL_OK) return error;
    depth_words = 2u * tl_side_words(entry.depth_class);
    if (!tl_is_depth_class(entry.depth_class) || entry.depth_at % 64 != 0 || entry.depth_at > s->depth_bytes ||
        ((depth_words * 8 + 63) & ~UINT64_C(63)) > s->depth_bytes - entry.depth_at)
        return TL_ERROR_NO_ROW;
    out->levels = entry.depth_class;
    for (attempt = 0; attempt < TL_ROW_RETRIES; attempt++) {
        version = tl_load(s->base, at + TL_ROW_VERSION * 8);
        tl_acquire();
        if (version & 1) continue;
        for (i = 0; i < TL_ROW_WORDS; i++) out->words[i] = tl_load(s->base, at + i * 8);
        for (i = 0; i < depth_words; i++) out->depth[i] = tl_load(s->base, s->depth + entry.depth_at + i * 8);
        tl_acquire(); /* a word of a newer version implies a changed version */
        if (tl_load(s->base, at + TL_ROW_VERSION * 8) == version) return TL_OK;
    }
    version = tl_load(s->base, at + TL_ROW_VERSION * 8);
    return version & 1 && !tl_writer_alive(s) ? TL_ERROR_WRITER_DEAD : TL_ERROR_BUSY;
}

/* Levels in the window of a side (TL_BID, TL_ASK). */
static inline uint32_t tl_row_depth(const tl_row *row, int side) {
    uint32_t length = (uint32_t)(row->words[TL_ROW_TOUCH] >> (48 + 8 * side)) & 0xff;
    return length < row->levels ? length : row->levels;
}

/* The level at `position`, 0 the best; `position` below tl_row_depth. */
static inline tl_level tl_row_level(const tl_row *row, int side, uint32_t position) {
    const uint64_t *cell = row->depth + (uint64_t)side * tl_side_words(row->levels) + (uint64_t)position * TL_LEVEL_WORDS;
    tl_level level;
    level.price = (int64_t)cell[0];
    level.quantity = cell[1];
    level.orders = (uint32_t)cell[2];
    return level;
}

#ifdef __cplusplus
}
#endif

#endif /* TICKLANE_H */
