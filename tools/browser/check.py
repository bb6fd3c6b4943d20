"""Looks at pages of reports in a headless browser, over its DevTools protocol.

Usage: check.py [--screenshots DIR] PAGE...

Every page is shown narrow and wide, light and dark. It must ask for nothing but itself, have no error of its script, be no wider
than the screen, have every plot and chart drawn, and show values where a plot is pointed at; a plot must zoom and come back. Words
of a chart must not be written over each other. Without scripts the same plots and charts must be there.
"""

import base64
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

WIDTHS = (360, 1600)
SCHEMES = ("light", "dark")
NODES_MAX = 20_000

LOOK = r"""
(async () => {
  const problems = [], plots = [...document.querySelectorAll('figure.plot')];
  const say = (where, what) => problems.push((where.id || where.tagName) + ': ' + what);
  const root = document.documentElement;
  if (root.scrollWidth > WIDTH) {
    const wide = [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > WIDTH + 1
      && !e.closest('.wide') && !e.closest('svg svg') && !e.closest('.skip')).slice(0, 3).map(e => e.outerHTML.slice(0, 120));
    say(root, 'is ' + root.scrollWidth + ' wide on a screen of ' + WIDTH + ': ' + wide.join(' | '));
  }
  for (const label of document.querySelectorAll('.mark text')) {
    const { left, right, width } = label.getBoundingClientRect();
    if (width && (left < 0 || right > WIDTH - 8)) { say(label.closest('figure'), 'cuts the label ' + label.textContent); }
  }
  // The main figures are seen as they are, also on a telephone.
  for (const table of document.querySelectorAll('article .tables:first-of-type .wide:first-child')) {
    if (table.scrollWidth > table.clientWidth) { say(table.closest('section'), 'cuts the table ' + table.getAttribute('aria-label')); }
  }
  const ids = new Set();
  for (const element of document.querySelectorAll('[id]')) {
    if (ids.has(element.id)) { say(element, 'stands twice'); }
    ids.add(element.id);
  }
  for (const link of document.querySelectorAll('a[href]')) {
    const target = link.getAttribute('href');
    if (!target.startsWith('#') || !ids.has(target.slice(1))) { say(link, 'leads to ' + target); }
  }
  for (const table of document.querySelectorAll('table')) {
    if (!table.caption || !table.querySelector('th[scope=col]')) { say(table, 'has no caption or no heads'); }
  }
  if (IS_LIVE && !root.classList.contains('live')) { say(root, 'its script did not run'); }
  for (const details of document.querySelectorAll('details')) { details.open = true; }
  const charts = [...document.querySelectorAll('figure.chart')];
  for (const chart of charts) {
    const bars = chart.querySelector('svg.bars');
    const labels = (bars.getAttribute('aria-labelledby') || '').split(' ').map(id => document.getElementById(id));
    if (labels.length < 2 || labels.some(label => !label || !label.textContent)) { say(chart, 'has no label'); }
    if (bars.getBoundingClientRect().width < 150) { say(chart, 'is too narrow'); }
    if (![...bars.querySelectorAll('.row rect')].some(bar => bar.getBoundingClientRect().width > 1)) { say(chart, 'has nothing drawn'); }
    const frame = bars.getBoundingClientRect();
    for (const bar of bars.querySelectorAll('.row rect')) {
      const place = bar.getBoundingClientRect();
      if (place.left < frame.left - 1 || place.right > frame.right + 1) { say(chart, 'has a bar off its axis'); }
    }
    const seen = [...bars.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()])
      .filter(([, place]) => place.width);
    seen.forEach(([words, place], number) => {
      if (place.left < -1 || place.right > WIDTH + 1) { say(chart, 'has "' + words + '" off the screen'); }
      for (const [others, other] of seen.slice(number + 1)) {
        if (place.left < other.right && other.left < place.right && place.top + 3 < other.bottom && other.top + 3 < place.bottom) {
          say(chart, 'has "' + words + '" over "' + others + '"');
        }
      }
    });
  }
  for (const plot of plots) {
    const frame = plot.querySelector('svg.frame'), data = plot.querySelector('svg.data');
    if (!frame || !data) { say(plot, 'has no drawing'); continue; }
    if (!(frame.getAttribute('aria-label') || frame.querySelector('title')) || !frame.querySelector('desc').textContent) {
      say(plot, 'has no label');
    }
    const box = { width: frame.getBoundingClientRect().width, height: Number(data.getAttribute('height')) };
    if (box.width < 150 || box.height < 1) { say(plot, 'is ' + box.width + ' by ' + box.height); }
    const drawn = [...data.querySelectorAll('path, image')].filter(e => (e.getAttribute('d') || e.getAttribute('href') || '').length > 4);
    if (!drawn.length) { say(plot, 'has nothing drawn'); }
    for (const image of data.querySelectorAll('image')) {
      const copy = new Image();
      copy.src = image.getAttribute('href');
      await copy.decode().catch(() => say(plot, 'has an image that is none'));
    }
    for (const text of frame.querySelectorAll('text')) {
      const place = text.getBoundingClientRect();
      if (place.width && (place.left < -1 || place.right > WIDTH + 1)) { say(plot, 'has "' + text.textContent + '" off the screen'); }
    }
    if (!IS_LIVE) { continue; }
    const tip = document.getElementById('tip');
    let said = '';
    for (let turn = 0; turn < 40 && (!said || said.includes('not unpacked')); turn++) {
      if (turn) { await new Promise(done => setTimeout(done, 25)); }
      const values = plot.querySelector('script.values'), places = [];
      if (values) {
        // Where the first value is that there is.
        const { t, v } = JSON.parse(values.textContent), at = v[0][2].findIndex(value => value != null);
        places.push([(t[at] + (Math.min(t[at + 1], plot.dataset.span) - t[at]) / 2) / plot.dataset.span, .5]);
      } else {
        for (let step = 0; step < 60; step++) { places.push([(step * 7 % 60 + .5) / 60, (step * 11 % 30 + .5) / 30]); }
      }
      for (const [x, y] of places) {
        if (said.split('\n').length >= 3) { break; }
        const at = frame.getBoundingClientRect();
        frame.dispatchEvent(new PointerEvent('pointermove',
          { bubbles: true, clientX: at.left + at.width * x, clientY: at.top + box.height * y }));
        const lines = [...tip.children].map(line => line.textContent).join('\n');
        if (lines.length > said.length) { said = lines; }
      }
      if (said && !said.includes('not unpacked')) { break; }
      if (turn < 39) { said = ''; }
    }
    if (tip.hidden || !said.includes('\n') || said.endsWith('\nnothing') || said.includes('NaN') || said.includes('undefined') || said.includes('not unpacked')) {
      say(plot, 'says "' + said.replace(/\n/g, ' / ') + '" where it is pointed at');
    }
    const whole = data.getAttribute('viewBox');
    frame.dispatchEvent(new KeyboardEvent('keydown', { key: '+', bubbles: true }));
    if (data.getAttribute('viewBox') === whole) { say(plot, 'does not zoom'); }
    frame.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
    if (data.getAttribute('viewBox') !== whole) { say(plot, 'does not come back: ' + data.getAttribute('viewBox')); }
    frame.dispatchEvent(new PointerEvent('pointerleave'));
  }
  for (const details of document.querySelectorAll('details')) { details.open = false; }
  const names = [...plots, ...charts].map(plot => plot.id.replace(/^r\d+-vm\d+-/, '').replace(/^at-.*/, 'region').replace(/^curve-.*/, 'curve'));
  return JSON.stringify({ problems, nodes: document.querySelectorAll('*').length, plots: names });
})()
"""


class Browser:
    """A browser without a window."""

    def __init__(self):
        self.home = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        program = next((n for n in ("chromium", "chromium-browser", "google-chrome") if which(n)), None)
        if not program:
            sys.exit("check.py: there is no chromium")
        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0",
             "--hide-scrollbars", f"--user-data-dir={self.home.name}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        told = os.path.join(self.home.name, "DevToolsActivePort")
        for _ in range(600):
            if os.path.exists(told) and len(open(told).read().split()) == 2:
                break
            time.sleep(0.1)
        port, path = open(told).read().split()
        self.socket = socket.create_connection(("127.0.0.1", int(port)))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.pending = b""
        while b"\r\n\r\n" not in self.pending:
            self.pending += self.socket.recv(4096)
        self.pending = self.pending.split(b"\r\n\r\n", 1)[1]
        self.number = 0
        self.session = None
        self.events = []

    def open(self):
        """Opens an empty page, on which all else is shown."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.home.cleanup()

    def take(self, count):
        while len(self.pending) < count:
            more = self.socket.recv(1 << 16)
            if not more:
                raise EOFError("the browser is gone")
            self.pending += more
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def receive(self):
        """One message."""
        message = b""
        while True:
            first, length = self.take(2)
            length &= 127
            if length == 126:
                length = struct.unpack(">H", self.take(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.take(8))[0]
            message += self.take(length)
            if first & 128:
                return json.loads(message)

    def call(self, method, **parameters):
        """Asks the browser for something, and waits for the answer; what happens meanwhile is kept in `events`."""
        self.number += 1
        request = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        body = json.dumps(request).encode()
        mask = os.urandom(4)
        head = bytes([0x81]) + (bytes([128 | len(body)]) if len(body) < 126 else
                                bytes([128 | 126]) + struct.pack(">H", len(body)) if len(body) < 65536 else
                                bytes([128 | 127]) + struct.pack(">Q", len(body)))
        self.socket.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(body)))
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.receive())


def which(name):
    return any(os.access(os.path.join(folder, name), os.X_OK) for folder in os.environ["PATH"].split(":"))


def complaints(events):
    """What went wrong while a page was there."""
    for event in events:
        method, told = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            yield details.get("exception", {}).get("description", details["text"])
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            yield told["entry"]["text"]
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            yield str(told["args"])
        elif method == "Network.requestWillBeSent":
            address = told["request"]["url"]
            if not address.startswith(("file:", "data:", "blob:", "about:")):
                yield f"asks for {address}"


def show(browser, page, width, scheme, is_live):
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 700)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.call("Emulation.setScriptExecutionDisabled", value=not is_live)
    browser.events.clear()
    browser.call("Page.navigate", url="file://" + os.path.abspath(page))
    browser.wait("Page.loadEventFired")


def look(browser, width, is_live):
    # A phone shows a page that is too wide from further away: its own width says nothing then.
    script = LOOK.replace("IS_LIVE", "true" if is_live else "false").replace("WIDTH", str(width))
    found = browser.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
    if "exceptionDetails" in found:
        return {"problems": [str(found["exceptionDetails"])], "nodes": 0, "plots": []}
    return json.loads(found["result"]["value"])


def picture(browser, path, clip=None):
    """A picture of the whole page, or of a part of it."""
    size = browser.call("Page.getLayoutMetrics")["cssContentSize"]
    clip = clip or {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000)}
    shot = browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip={**clip, "scale": 1})
    with open(path, "wb") as file:
        file.write(base64.b64decode(shot["data"]))


def main(arguments):
    screenshots = None
    if arguments[:1] == ["--screenshots"]:
        screenshots, arguments = arguments[1], arguments[2:]
    if not arguments:
        sys.exit(__doc__)
    browser = Browser()
    failed = False
    try:
        browser.open()
        for page in arguments:
            problems, plots, nodes = [], {}, 0
            for width in WIDTHS:
                for scheme in SCHEMES:
                    show(browser, page, width, scheme, True)
                    if screenshots:
                        name = re.sub(r"\.html$", "", os.path.basename(page))
                        picture(browser, os.path.join(screenshots, f"{name}-{width}-{scheme}.png"))
                    found = look(browser, width, True)
                    nodes, plots["live"] = found["nodes"], found["plots"]
                    told = found["problems"] + list(complaints(browser.events))
                    problems += [f"{width} {scheme}: {what}" for what in told]
            show(browser, page, WIDTHS[0], SCHEMES[0], False)
            found = look(browser, WIDTHS[0], False)
            problems += [f"without scripts: {what}" for what in found["problems"]]
            if found["plots"] != plots["live"]:
                problems.append("without scripts there are other plots")
            if not found["plots"]:
                problems.append("there is no plot and no chart")
            if nodes > NODES_MAX:
                problems.append(f"{nodes} elements")
            size = os.path.getsize(page)
            if size > 5_000_000:
                problems.append(f"{size} bytes")
            kinds = sorted(set(plots["live"]))
            print(f"{page}: {size:,} bytes, {nodes:,} elements, {len(plots['live'])} plots: {' '.join(kinds)}")
            for problem in problems[:20]:
                print(f"  {problem}")
            failed = failed or bool(problems)
    finally:
        browser.close()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
