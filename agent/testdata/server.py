# Servers with Python's ssl module, for tests: server.py MODE PORT CERT KEY. Each answers "hello" and ends with its input.
#   sync     a thread for each connection, blocking sockets
#   signals  the same, while a timer interrupts its system calls
#   asyncio  one thread, TLS through memory BIOs: the library never sees a socket
#   lazy     no TLS library until the first line of its input
import asyncio
import os
import signal
import socket
import socketserver
import sys
import threading

mode, port, cert, key = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]


def context():
    import ssl
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(cert, key)
    return c


def length(head):
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        buffer = b""
        while True:
            while b"\r\n\r\n" not in buffer:
                more = self.request.recv(1000)
                if not more:
                    return
                buffer += more
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            left = length(head)
            while len(buffer) < left:
                more = self.request.recv(65536)
                if not more:
                    return
                buffer += more
            buffer = buffer[left:]
            self.request.sendall(ANSWER)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def get_request(self):
        plain, address = super().get_request()
        return self.tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request, client_address):
        pass


def serve():
    server = Server(("127.0.0.1", port), Handler)
    server.tls = context()
    server.serve_forever()


async def connection(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(length(head))
            writer.write(ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve_asyncio():
    server = await asyncio.start_server(connection, "127.0.0.1", port, ssl=context(), backlog=256)
    await server.serve_forever()


def end_with_input():
    while sys.stdin.readline():
        pass
    os._exit(0)


if mode == "lazy":
    # A process that listens, and loads the library long after it started.
    idle = socket.create_server(("127.0.0.1", 0))
    print("ready", flush=True)
    sys.stdin.readline()
    mode = "sync"
threading.Thread(target=end_with_input, daemon=True).start()
if mode == "signals":
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    import ssl
    tls = context()
    listener = socket.create_server(("127.0.0.1", port))

    class One(Handler):
        def __init__(self, request):
            self.request = request

    # In the main thread, which is the one that the timer interrupts.
    while True:
        plain, _ = listener.accept()
        try:
            wrapped = tls.wrap_socket(plain, server_side=True)
            One(wrapped).handle()
            wrapped.close()
        except OSError:
            plain.close()
elif mode == "asyncio":
    asyncio.run(serve_asyncio())
else:
    serve()
