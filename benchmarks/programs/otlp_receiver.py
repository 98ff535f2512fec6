"""An OTLP/HTTP receiver on the loopback interface that keeps nothing: ``python otlp_receiver.py PORT STATUS``.

It answers each request with STATUS, or with nothing for ever when that is 0.
"""

import asyncio
import sys


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int) -> None:
    """Read requests and answer them until the connection ends."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if line)
            await reader.readexactly(int(fields.get(b"content-length", 0)))
            if status:
                writer.write(b"HTTP/1.1 %d -\r\nContent-Length: 0\r\n\r\n" % status)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port: int, status: int) -> None:
    """Serve for ever."""
    server = await asyncio.start_server(lambda reader, writer: answer(reader, writer, status), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
