//! The gateway's page in a real browser, with the real programs behind it.
//!
//! The programs are those that `make test` has built; `TICKLANE_BIN_DIR` names another folder of them. Without Chromium
//! the tests say loudly that they were skipped.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(unreachable_pub, reason = "a test binary has no users: pub marks what its modules share")]

mod browser;
#[path = "../gateway/client.rs"]
#[allow(dead_code, reason = "shared with the gateway's tests; here only its start is of use")]
mod client;
#[path = "../system/harness.rs"]
#[allow(dead_code, reason = "shared with the whole-system tests, which use the rest")]
mod harness;

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::client::Gateway;
use crate::harness::{Dir, Engine, EngineOptions, Venue, skipped, wait_until};

/// A market that moves on a slow machine too.
const MARKET: [&str; 6] = ["--symbols", "40", "--rate", "2000", "--speed", "1x"];
/// Last prices of the watch list, as one text.
const PRICES: &str = "[...document.querySelectorAll('[data-cell=last]')].map((cell) => cell.textContent).join(' ')";
/// Kinds of the events that the page has logged.
const EVENTS: &str = "[...document.querySelectorAll('#log .kind')].map((kind) => kind.textContent)";
const LIVE: &str = "document.body.dataset.connection === 'live'";

/// One browser at a time: several would only slow each other down.
fn alone() -> MutexGuard<'static, ()> {
    static BROWSER: Mutex<()> = Mutex::new(());
    BROWSER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the page is live and a last price has changed since.
fn wait_for_a_move(browser: &mut Browser) {
    browser.wait("the page to be live", LIVE);
    browser.wait("a price", &format!("/\\d/.test({PRICES})"));
    let before = browser.value(PRICES);
    browser.wait("a price to move", &format!("{PRICES} !== {before}"));
}

fn open(browser: &mut Browser, gateway: &Gateway) {
    browser.open(&format!("http://{}/", gateway.address));
}

#[test]
fn the_page_waits_for_the_engine_and_then_shows_its_market() {
    let _alone = alone();
    let dir = Dir::new();
    let Some(mut browser) = Browser::start(&dir) else { return };
    let gateway = Gateway::start(&dir);
    browser.look(1280, 800, "dark");
    open(&mut browser, &gateway);
    browser.wait("word of the missing engine", "document.body.dataset.connection === 'absent'");
    let venue = Venue::start(&dir, &MARKET);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    wait_for_a_move(&mut browser);
    assert_eq!(browser.value("document.querySelectorAll('#watch .row').length"), json!(20));
    for side in ["asks", "bids"] {
        browser.wait(side, &format!("/\\d/.test(document.querySelector('#{side}').textContent)"));
    }
    browser.wait("trades", "document.querySelectorAll('#tape .row').length > 0");
    browser.wait("the feed's state", "document.querySelector('#lanes').textContent.includes('nasdaqLive')");
    for hop in ["receive_to_publish", "publish_to_gateway", "socket", "page"] {
        browser.wait("latencies", &format!("/\\d/.test(document.querySelector('[data-hop={hop}] td').textContent)"));
    }
    browser.expect_quiet(&gateway.address);
    drop((engine, venue));
}

/// Part of `bench/demo.sh`, which names the page, and a file that it makes at the end of the build: its UNIX time, ns.
#[test]
fn the_page_of_a_demo_moves() {
    let (Ok(address), Ok(go)) = (std::env::var("TICKLANE_PAGE"), std::env::var("TICKLANE_PAGE_GO")) else {
        return skipped("TICKLANE_PAGE is not set", "the page of a demo, which bench/demo.sh tries");
    };
    let dir = Dir::new();
    let Some(mut browser) = Browser::start(&dir) else { return };
    // However long the build takes, it is not this test's time.
    let began_ns = loop {
        match std::fs::read_to_string(&go).map(|text| text.trim().parse::<u64>()) {
            Ok(Ok(began_ns)) => break began_ns,
            _ => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    };
    wait_until("the demo's gateway", || std::net::TcpStream::connect(&address).is_ok());
    browser.open(&format!("http://{address}/"));
    wait_for_a_move(&mut browser);
    let moved_ms = (shm_abi::sys::realtime_ns() - began_ns) / 1_000_000;
    eprintln!("moved {moved_ms} ms after the end of the build");
    browser.expect_quiet(&address);
}

/// What stands in the page's ladder, best first, as `/api/v1/depth` gives it.
fn ladder(browser: &mut Browser) -> Value {
    browser.value(
        "(() => {
            const number = (cell) => Number(cell.textContent.replaceAll(',', ''));
            const side = (id) => [...document.querySelectorAll(`#${id} .row`)].map((row) => [...row.children])
                .filter((cells) => /\\d/.test(cells[0].textContent))
                .map((cells) => [number(cells[0]), number(cells[1]), number(cells[3])]);
            return { bids: side('bids'), asks: side('asks').reverse() };
        })()",
    )
}

#[test]
fn a_lost_feed_is_told_and_the_ladder_then_holds_what_rest_answers() {
    let _alone = alone();
    let dir = Dir::new();
    let Some(mut browser) = Browser::start(&dir) else { return };
    let venue = Venue::start(&dir, &MARKET);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let gateway = Gateway::start(&dir);
    open(&mut browser, &gateway);
    wait_for_a_move(&mut browser);
    let bids = "document.querySelector('#bids').textContent";
    let before = browser.value(bids);
    browser.wait("the book to change", &format!("{bids} !== {before}"));
    venue.process.kill();
    browser.wait("word of the lost feed", "document.querySelector('#instrument-state').textContent === 'Stale'");
    let symbol = browser.value("document.querySelector('#instrument-title').textContent");
    let depth = format!(
        "fetch('/api/v1/depth/{}?levels=10').then((response) => response.json()).then(({{ data }}) => data)",
        symbol.as_str().unwrap()
    );
    let answer = browser.value(&depth);
    assert!(answer["bids"].as_array().is_some_and(|bids| !bids.is_empty()), "{answer}");
    wait_until("the ladder to hold what REST answers", || ladder(&mut browser) == answer);
    browser.expect_quiet(&gateway.address);
    drop(engine);
}

#[test]
fn the_page_survives_restarts_of_the_gateway_and_of_the_engine_by_itself() {
    let _alone = alone();
    let dir = Dir::new();
    let Some(mut browser) = Browser::start(&dir) else { return };
    let venue = Venue::start(&dir, &MARKET);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let gateway = Gateway::start(&dir);
    let address = gateway.address.clone();
    open(&mut browser, &gateway);
    wait_for_a_move(&mut browser);
    // Not by being loaded again: this would be gone.
    browser.value("window.sameDocument = true");
    gateway.process.kill();
    let told = "document.querySelector('#connection').textContent";
    browser.wait("word of the lost gateway", &format!("{told}.startsWith('Reconnecting in ')"));
    let gateway = Gateway::start_with(&dir, &address, &[]);
    wait_for_a_move(&mut browser);

    engine.process.kill();
    browser.wait("word of the silent engine", "document.body.dataset.connection === 'silent'");
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    wait_for_a_move(&mut browser);
    browser.wait("word of the restart", &format!("{EVENTS}.includes('restart')"));
    assert_eq!(browser.value("window.sameDocument"), json!(true));
    // What was missing was declared: no hole was found by the page itself.
    assert_eq!(browser.value(&format!("{EVENTS}.includes('hole')")), json!(false));
    browser.expect_quiet(&gateway.address);
    drop((engine, venue));
}

#[test]
fn a_phone_shows_every_view_without_scrolling_sideways() {
    let _alone = alone();
    let dir = Dir::new();
    let Some(mut browser) = Browser::start(&dir) else { return };
    let venue = Venue::start(&dir, &MARKET);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let gateway = Gateway::start(&dir);
    for (width, theme) in [(360, "light"), (360, "dark"), (768, "light")] {
        browser.look(width, 740, theme);
        open(&mut browser, &gateway);
        wait_for_a_move(&mut browser);
        for (view, panel) in [("markets", ".markets"), ("instrument", ".instrument"), ("system", ".latency")] {
            browser.value(&format!("document.querySelector('.tabs [data-view={view}]').click()"));
            browser.wait(view, &format!("document.querySelector('{panel}').getBoundingClientRect().height > 150"));
            // Of the document, and of whatever scrolls inside it.
            let wider = "[...document.querySelectorAll('html, body, main, .panel, .scroll')]
                .filter((one) => one.clientWidth && one.scrollWidth > one.clientWidth)
                .map((one) => one.className || one.tagName)";
            assert_eq!(browser.value(wider), json!([]), "{view} at {width}");
        }
        let ground = browser.value("getComputedStyle(document.body).backgroundColor");
        let dark = ground.as_str().unwrap().starts_with("rgb(11, ");
        assert_eq!(dark, theme == "dark", "{ground}");
    }
    browser.expect_quiet(&gateway.address);
    drop((engine, venue));
}

#[test]
fn a_symbol_is_found_added_and_remembered() {
    let _alone = alone();
    let dir = Dir::new();
    let Some(mut browser) = Browser::start(&dir) else { return };
    let venue = Venue::start(&dir, &MARKET);
    let engine = Engine::start(&dir, &EngineOptions::to(venue.port));
    let gateway = Gateway::start(&dir);
    open(&mut browser, &gateway);
    wait_for_a_move(&mut browser);
    let pages = "fetch('/api/v1/instruments?limit=1&offset=30').then((response) => response.json())";
    let symbol = browser.value(&format!("{pages}.then(({{ instruments }}) => instruments[0].symbol)"));
    let row = format!("document.querySelector('#watch [data-symbol=\"{}\"]')", symbol.as_str().unwrap());
    assert_eq!(browser.value(&format!("Boolean({row})")), json!(false), "{symbol} is in the first list already");
    browser.value("document.querySelector('#search').focus()");
    browser.type_text(&symbol.as_str().unwrap().to_lowercase());
    browser.wait("a match", &format!("document.querySelector('#matches [role=option]')?.dataset.symbol === {symbol}"));
    browser.press("Enter");
    browser.wait("the symbol's row", &row);
    browser.wait("its book", &format!("document.querySelector('#instrument-title').textContent === {symbol}"));
    browser.wait("its quote", &format!("/\\d/.test({row}.querySelector('[data-cell=bid]').textContent)"));
    browser.value("window.sameDocument = true");
    browser.call("Page.reload", &json!({}));
    browser
        .wait("the list to be remembered", &format!("!window.sameDocument && {row}?.classList.contains('selected')"));
    assert_eq!(browser.value("document.querySelectorAll('#watch .row').length"), json!(21));
    browser.value(&format!("{row}.querySelector('.remove').click()"));
    browser.wait("the row to go", &format!("!{row}"));
    browser.expect_quiet(&gateway.address);
    drop((engine, venue));
}
