#!/usr/bin/env bash
# A newcomer's first minutes: a fresh clone, `make demo`, and a browser that waits for the page. Fails unless a price has
# moved there within 5 s of the end of the build. Ends with 77 when there is no browser.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v chromium >/dev/null || command -v google-chrome >/dev/null || { echo "no chromium"; exit 77; }
cargo test --locked -p ticklane-bench --test page --no-run
work=$(mktemp -d)
git clone -q . "$work/ticklane"
demo() {
  (cd "$work/ticklane" && exec env -u CARGO_TARGET_DIR make demo DEMO_SECONDS=60) 2>&1 | while IFS= read -r line; do
    case "$line" in "== starting"*) date +%s%N >"$work/go.part" && mv "$work/go.part" "$work/go" ;; esac
    printf '%s\n' "$line" >>"$work/demo.log"
  done
  # A build that failed has no page: the browser is not to wait for it for ever.
  [ -e "$work/go" ] || echo 0 >"$work/go"
}
demo &
pid=$!
trap 'wait $pid; rm -rf "$work"' EXIT
TICKLANE_PAGE=127.0.0.1:8080 TICKLANE_PAGE_GO="$work/go" \
  cargo test --locked -p ticklane-bench --test page the_page_of_a_demo_moves -- --nocapture 2>"$work/page.log" || { cat "$work/page.log" "$work/demo.log"; exit 1; }
moved=$(sed -n 's/^moved \([0-9]*\) ms .*/\1/p' "$work/page.log")
echo "a price moved on the page $moved ms after the end of the build"
[ "$moved" -le 5000 ]
