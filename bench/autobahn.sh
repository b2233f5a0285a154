#!/usr/bin/env bash
# Holds the gateway's WebSocket code against the Autobahn test suite, cases 1 to 7 and 10 (12 and 13 are compression,
# which is not offered). The suite needs Python 2.7: PYTHON27 names one. Ends with 0 when no case failed, and with 77
# when the suite cannot be had here.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON27:-}
for candidate in python2.7 "$HOME"/.pyenv/versions/2.7.*/bin/python2.7; do
  if [ -z "$python" ] && "$candidate" --version >/dev/null 2>&1; then python=$candidate; fi
done
[ -n "$python" ] || { echo "no python2.7: set PYTHON27"; exit 77; }
suite=$PWD/target/autobahn
if [ ! -x "$suite/env/bin/wstest" ]; then
  mkdir -p "$suite"
  "$python" -m virtualenv --version >/dev/null 2>&1 || "$python" -m pip install --user virtualenv || { echo "no virtualenv for $python"; exit 77; }
  "$python" -m virtualenv "$suite/env" && "$suite/env/bin/pip" install autobahntestsuite==25.10.1 || { echo "the suite cannot be installed"; exit 77; }
fi
gateway=${TICKLANE_BIN_DIR:-target/debug}/ticklane-gateway
work=$(mktemp -d)
mkdir -m 700 "$work/run"
printf '[gateway]\necho = true\n' >"$work/gateway.toml"
"$gateway" --config "$work/gateway.toml" --runtime-dir "$work/run" --listen 127.0.0.1:0 >"$work/out" 2>"$work/err" &
pid=$!
trap 'kill $pid 2>/dev/null || true; rm -rf "$work"' EXIT
address=
for _ in $(seq 200); do
  address=$(sed -n 's|^listening http://||p' "$work/out")
  [ -n "$address" ] && break
  kill -0 $pid 2>/dev/null || { cat "$work/err"; exit 1; }
  sleep 0.05
done
[ -n "$address" ] || { echo "the gateway does not listen"; cat "$work/err"; exit 1; }
cat >"$work/spec.json" <<JSON
{"outdir": "$work/report", "servers": [{"agent": "ticklane", "url": "ws://$address/echo"}],
 "cases": ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"], "exclude-cases": [], "exclude-agent-cases": {}}
JSON
(cd "$work" && timeout 600 "$suite/env/bin/wstest" -m fuzzingclient -s spec.json >"$work/wstest.log" 2>&1) || { tail -20 "$work/wstest.log"; exit 1; }
"$suite/env/bin/python" - "$work/report/index.json" <<'PY'
import collections, json, sys
cases = json.load(open(sys.argv[1]))["ticklane"]
behaviour = collections.Counter(case["behavior"] for case in cases.values())
close = collections.Counter(case["behaviorClose"] for case in cases.values())
print("%d cases: %s; closing: %s" % (len(cases), dict(behaviour), dict(close)))
bad = sorted(name for name, case in cases.items() if "FAILED" in (case["behavior"], case["behaviorClose"]) or "UNCLEAN" in (case["behavior"], case["behaviorClose"]))
for name in sorted(n for n, c in cases.items() if "NON-STRICT" in (c["behavior"], c["behaviorClose"])):
    print("non-strict: " + name)
for name in bad:
    print("failed: %s %s" % (name, cases[name]))
sys.exit(1 if bad or len(cases) < 240 else 0)
PY
