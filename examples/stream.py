"""Send a WAV file to ``melmoat serve`` as live audio, and write what comes back.

    melmoat serve --defense mdnf                     # in another terminal
    python examples/stream.py speech.wav defended.wav

Needs the package websockets. The file has one channel of 16 bits. An API key is read from
MELMOAT_API_KEY.
"""

import asyncio
import json
import os
import sys
import wave

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

SERVER = "ws://127.0.0.1:8000"
PIECE = 0.1  # seconds


async def defended(samples: bytes, rate: int, key: str = "") -> bytes:
    """The defended samples, 16 bits each."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = f"{SERVER}/defend/stream?rate={rate}&format=pcm16"
    async with connect(address, additional_headers=headers) as socket:
        ready = json.loads(await socket.recv())
        print(f"the output lags by {1000 * ready['latency_seconds']:.0f} ms")

        async def speak() -> None:
            size = 2 * int(PIECE * rate)
            for begin in range(0, len(samples), size):
                await socket.send(samples[begin : begin + size])
                await asyncio.sleep(PIECE)  # as a microphone would
            await socket.send(json.dumps({"type": "end"}))

        speaking = asyncio.create_task(speak())
        heard = []
        try:
            async for message in socket:  # until the server closes
                if isinstance(message, bytes):
                    heard.append(message)
                else:
                    print(message)  # that it is done, or an error
            await speaking
        except ConnectionClosed as closed:  # what came until then is kept
            print(f"the server ended the stream: {closed}")
            speaking.cancel()
    return b"".join(heard)


def main() -> None:
    """Read, send and write."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with wave.open(sys.argv[1]) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2), "one channel of 16 bits"
        rate, samples = file.getframerate(), file.readframes(file.getnframes())
    try:
        out = asyncio.run(defended(samples, rate, os.environ.get("MELMOAT_API_KEY", "")))
    except InvalidStatus as refused:
        sys.exit(f"the server refused: {(refused.response.body or b'').decode()}")
    except OSError as error:
        sys.exit(f"no server at {SERVER} ({error}); start melmoat serve first")
    with wave.open(sys.argv[2], "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(out)


if __name__ == "__main__":
    main()
