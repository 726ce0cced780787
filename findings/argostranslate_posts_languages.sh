#!/usr/bin/env bash
# argostranslate 1.11.0 and libretranslate 1.9.6, 29 November 2026.
# Input: `LibreTranslateAPI(URL).languages()`, the call of Argos Translate's client that its own docstring shows.
# Expected: the list of languages; LibreTranslate documents GET /languages.
# Seen: the client always sends a body, so that urllib makes it a POST; the server declares the route for GET alone, and
#   Flask answers 405. With ARGOS_MODEL_PROVIDER=LIBRETRANSLATE the list of languages is asked for before all else.
# Hurts: programs that use LibreTranslate by way of Argos Translate.
# Exit code: 0 while this holds, 1 once it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip -q install --no-deps --target package argostranslate==1.11.0 libretranslate==1.9.6
PYTHONPATH=package venv/bin/python - <<'PYTHON'
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from argostranslate.apis import LibreTranslateAPI

asked = []


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        asked.append(self.command)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    do_GET = do_POST = answer
    log_message = lambda *_: None


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
LibreTranslateAPI(f"http://127.0.0.1:{server.server_port}/").languages()
routes = re.findall(r'@bp\.(.*?"/languages".*)', Path("package/libretranslate/app.py").read_text(encoding="utf-8"))
print(f"the client sends {asked}, the server has {routes}")
sys.exit(0 if asked == ["POST"] and routes == ['get("/languages")'] else 1)
PYTHON
