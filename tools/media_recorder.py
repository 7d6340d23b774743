"""Record a WAV file with a browser's MediaRecorder, in each container that it offers.

    pip install playwright
    python tools/media_recorder.py speech.wav OUT

Chromium gets the file as its microphone. `tests/server/recordings` was made so, of an utterance of
the demo corpus with silence around it.
"""

from __future__ import annotations

import base64
import shutil
import sys
import wave
from pathlib import Path

from playwright.sync_api import sync_playwright

TYPES = {
    "chromium-opus.webm": "audio/webm;codecs=opus",
    "chromium-opus.mp4": "audio/mp4;codecs=opus",
    "chromium-aac.mp4": "audio/mp4;codecs=mp4a.40.2",
    "chromium-opus.ogg": "audio/ogg;codecs=opus",
}
MORE = 0.6  # seconds after the end
RECORD = """async ([type, milliseconds]) => {
  if (!MediaRecorder.isTypeSupported(type)) return null;
  const plain = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
  const stream = await navigator.mediaDevices.getUserMedia({audio: plain});
  const recorder = new MediaRecorder(stream, {mimeType: type, audioBitsPerSecond: 24000});
  const parts = [], stopped = new Promise(done => recorder.onstop = done);
  recorder.ondataavailable = event => parts.push(event.data);
  recorder.start(250);
  await new Promise(done => setTimeout(done, milliseconds));
  recorder.stop();
  await stopped;
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""));
}"""


def main() -> None:
    source, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    with wave.open(str(source)) as file:
        seconds = file.getnframes() / file.getframerate()
    out.mkdir(parents=True, exist_ok=True)
    arguments = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={source}%noloop",
        "--no-sandbox",
    ]
    with sync_playwright() as playwright:
        for name, kind in TYPES.items():  # each in a browser of its own: the file begins again
            path = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=path, args=arguments)
            page = browser.new_page()
            page.route("**/*", lambda route: route.fulfill(content_type="text/html", body="<p>"))
            page.goto("https://recorder.example/")  # no page without TLS gets a microphone
            found = page.evaluate(RECORD, [kind, 1000 * (seconds + MORE)])
            browser.close()
            print(f"{kind}: {'recorded' if found else 'not offered'}")
            if found:
                (out / name).write_bytes(base64.b64decode(found))


if __name__ == "__main__":
    main()
