#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_python - our server and our client, judged by gRPC's own core (python3-grpcio).

  test_python.py RPC_PEER ECHO_PROTO
"""
import concurrent.futures
import subprocess
import sys
import threading
import time

from gate import Room, Skip, main

try:
    import grpc
except ImportError:
    print("1..0 # SKIP no grpc for /usr/bin/python3 (python3-grpcio)")
    sys.exit(0)

C = grpc.StatusCode
BIG = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def pb():
    import echo_pb2  # pylint: disable=import-outside-toplevel,import-error
    return echo_pb2


class Echo:
    """Stubs of test.Echo on a channel."""

    def __init__(self, channel):
        def unary(name, reply):
            return channel.unary_unary(f"/test.Echo/{name}", request_serializer=lambda m: m.SerializeToString(),
                                       response_deserializer=reply.FromString)
        self.channel = channel
        self.say = unary("Say", pb().EchoReply)
        self.ask = unary("Ask", pb().Figures)
        self.later = unary("Later", pb().Empty)
        self.nobody = unary("Nobody", pb().Empty)
        self.many = channel.unary_stream("/test.Echo/Many", request_serializer=lambda m: m.SerializeToString(),
                                         response_deserializer=pb().EchoReply.FromString)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()


def connect(target):
    return Echo(grpc.insecure_channel(target, options=BIG))


def refused(code, call, *args, **more):
    try:
        call(*args, **more)
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), error.details(), code)
        return error
    raise AssertionError(f"was not refused {code}")


def eventually(what):
    for _ in range(200):
        if what():
            return
        time.sleep(0.02)
    raise AssertionError("it does not come")


# ---- our server


def calls_over_tcp_and_unix_sockets(room):
    server = room.serve("127.0.0.1:0", f"unix:{room.dir}/socket")
    for target in server.addresses:
        with connect(target) as echo:
            reply = echo.say(pb().EchoRequest(text="grüße", size=3), timeout=20)
            assert (reply.text, reply.blob) == ("grüße", b"aaa"), reply
            for number in range(200):
                assert echo.say(pb().EchoRequest(text=str(number)), timeout=20).text == str(number)


def every_status_has_its_code_and_words(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        for code in C:
            if code == C.OK:
                continue
            words = f"{code.name}: 100% of 'pöl'\n€ 😀"
            error = refused(code, echo.say, pb().EchoRequest(text=words, code=code.value[0]), timeout=20)
            assert error.details() == words, error.details()
        refused(C.UNIMPLEMENTED, echo.later, pb().Empty(), timeout=20)
        refused(C.UNIMPLEMENTED, echo.nobody, pb().Empty(), timeout=20)


def optional_fields_have_presence_on_both_sides(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        items = [pb().Item(name="absent"), pb().Item(name="zero", size=0), pb().Item(name="five", size=5),
                 pb().Item(labels={"a": "1", "": "x"}, tags=["x", ""], blob=bytes(range(256)))]
        back = echo.say(pb().EchoRequest(text="x", items=items), timeout=20).items
        assert list(back) == items, back
        assert [item.HasField("size") for item in back] == [False, True, True, False]


def bad_strings_are_refused(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        raw = echo.channel.unary_unary("/test.Echo/Say")
        for message in (b"\x0a\x01\xff", b"\x0a\x01\x00", b"\x32\x03\x0a\x01\x80", b"\x0a\x7f"):
            error = refused(C.INVALID_ARGUMENT, raw, message, timeout=20)
            assert "field" in error.details(), error.details()
        refused(C.INVALID_ARGUMENT, raw, b"\xff", timeout=20)


def deadlines_end_calls_and_their_handlers(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        refused(C.DEADLINE_EXCEEDED, echo.say, pb().EchoRequest(text="x", sleep_ms=60000), timeout=0.2)
        eventually(lambda: echo.ask(pb().Empty(), timeout=20).cancelled == 1)
        assert echo.ask(pb().Empty(), timeout=20).running == 0


def cancelled_calls_end_their_handlers(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        future = echo.say.future(pb().EchoRequest(text="x", sleep_ms=60000))
        eventually(lambda: echo.ask(pb().Empty(), timeout=20).running == 1)
        future.cancel()
        eventually(lambda: echo.ask(pb().Empty(), timeout=20).cancelled == 1)
        stream = echo.many(pb().EchoRequest(text="x", count=1000000, size=1000))
        next(stream)
        stream.cancel()
        eventually(lambda: echo.ask(pb().Empty(), timeout=20).cancelled == 2)


def streams_have_all_messages_status_and_metadata(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        stream = echo.many(pb().EchoRequest(text="the end", count=50, size=100000, code=10), timeout=50)
        got = []
        error = refused(C.ABORTED, lambda: [got.append(reply) for reply in stream])
        assert error.details() == "the end"
        assert [reply.index for reply in got] == list(range(50))
        assert all(len(reply.blob) == 100000 for reply in got)
        stream = echo.many(pb().EchoRequest(text="x", count=1), timeout=20)
        assert len(list(stream)) == 1
        assert list(echo.many(pb().EchoRequest(text="x", count=0), timeout=20)) == []
        assert dict(stream.initial_metadata())["x-count"] == "many"
        assert dict(stream.trailing_metadata())["x-end"] == "yes"


def a_slow_reader_holds_up_its_stream_only(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        stream = echo.many(pb().EchoRequest(text="x", count=400, size=100000), timeout=50)
        next(stream)
        time.sleep(0.3)
        assert int(server.ask("stats").split("memory=")[1].split()[0]) < 2 << 20
        assert echo.say(pb().EchoRequest(text="beside"), timeout=20).text == "beside"
        assert len(list(stream)) == 399


def metadata_arrives(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        reply = echo.say(pb().EchoRequest(text="a"), metadata=[("x-extra", " + b"), ("x-bin", b"\0\1")], timeout=20)
        assert reply.text == "a + b"


def big_messages_pass_and_bigger_ones_are_refused(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        blob = bytes(range(256)) * 12000
        reply = echo.say(pb().EchoRequest(text="x", size=5000000, items=[pb().Item(blob=blob)]), timeout=50)
        assert len(reply.blob) == 5000000 and reply.items[0].blob == blob
        error = refused(C.RESOURCE_EXHAUSTED, echo.say,
                        pb().EchoRequest(text="x", items=[pb().Item(blob=bytes(4 << 20))]), timeout=50)
        assert "at most 4194304 are accepted" in error.details(), error.details()


def compressed_requests_are_unimplemented(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        error = refused(C.UNIMPLEMENTED, echo.say, pb().EchoRequest(text="x" * 100000), timeout=20,
                        compression=grpc.Compression.Gzip)
        assert "compress" in error.details(), error.details()


def a_thousand_calls_in_flight_are_answered(room):
    server = room.serve("127.0.0.1:0", more=["--opt", "streams_max=1000", "--opt", "calls_max=1000"])
    with connect(server.addresses[0]) as echo:
        futures = [echo.say.future(pb().EchoRequest(text=str(n), sleep_ms=200), timeout=100) for n in range(1000)]
        assert [future.result().text for future in futures] == [str(n) for n in range(1000)]
        assert echo.ask(pb().Empty(), timeout=20).finished == 1000


def more_calls_than_streams_wait_for_their_turn(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        futures = [echo.say.future(pb().EchoRequest(text=str(n), sleep_ms=5), timeout=100) for n in range(1000)]
        assert [future.result().text for future in futures] == [str(n) for n in range(1000)]


def health_is_told_and_watched(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        check = echo.channel.unary_unary("/grpc.health.v1.Health/Check")
        watch = echo.channel.unary_stream("/grpc.health.v1.Health/Watch")
        assert check(b"", timeout=20) == b"\x08\x01"
        assert check(b"\x0a\x09test.Echo", timeout=20) == b"\x08\x01"
        refused(C.NOT_FOUND, check, b"\x0a\x01x", timeout=20)
        stream = watch(b"", timeout=50)
        assert next(stream) == b"\x08\x01"
        assert server.ask("ill") == "ok"
        assert next(stream) == b"\x08\x02"
        assert check(b"", timeout=20) == b"\x08\x02"
        stream.cancel()


def calls_in_flight_survive_the_end_of_the_server(room):
    server = room.serve("127.0.0.1:0")
    with connect(server.addresses[0]) as echo:
        futures = [echo.say.future(pb().EchoRequest(text=str(n), sleep_ms=1000), timeout=50) for n in range(20)]
        eventually(lambda: echo.ask(pb().Empty(), timeout=20).running == 20)
        server.hangup()
        assert [future.result().text for future in futures] == [str(n) for n in range(20)]
        assert server.line() == "ended"
        refused(C.UNAVAILABLE, echo.say, pb().EchoRequest(text="late"), timeout=20)


def old_connections_are_replaced_without_a_failure(room):
    server = room.serve("127.0.0.1:0", more=["--opt", "age_ns=100000000"])
    with connect(server.addresses[0]) as echo:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            futures = [echo.say.future(pb().EchoRequest(text="x", sleep_ms=10), timeout=50) for n in range(20)]
            assert all(future.result().text == "x" for future in futures)


# ---- TLS


def secure(room, target, who=None, folder=".", root="ca.pem"):
    key = room.read(f"{folder}/{who}.key") if who else None
    cert = room.read(f"{folder}/{who}.pem") if who else None
    credentials = grpc.ssl_channel_credentials(room.read(root), key, cert)
    return Echo(grpc.secure_channel(target, credentials, options=BIG))


def a_client_with_its_certificate_is_let_in(room):
    server = room.serve("127.0.0.1:0", more=["--tls", room.certificates()])
    with secure(room, server.addresses[0], "client") as echo:
        assert len(echo.say(pb().EchoRequest(text="x", size=3000000), timeout=50).blob) == 3000000
        futures = [echo.say.future(pb().EchoRequest(text=str(n)), timeout=50) for n in range(200)]
        assert [future.result().text for future in futures] == [str(n) for n in range(200)]


def wrong_and_missing_certificates_are_refused(room):
    server = room.serve("127.0.0.1:0", more=["--tls", room.certificates()])
    for who, folder in ((None, "."), ("client", "wrong")):
        with secure(room, server.addresses[0], who, folder) as echo:
            refused(C.UNAVAILABLE, echo.say, pb().EchoRequest(text="x"), timeout=20)
    with connect(server.addresses[0]) as echo:
        refused(C.UNAVAILABLE, echo.say, pb().EchoRequest(text="x"), timeout=20)
    with secure(room, server.addresses[0], "client", root="wrong/ca.pem") as echo:
        refused(C.UNAVAILABLE, echo.say, pb().EchoRequest(text="x"), timeout=20)
    with secure(room, server.addresses[0], "client") as echo:
        assert echo.ask(pb().Empty(), timeout=20).finished == 0


def s_client(room, target, *more):
    return subprocess.run(["openssl", "s_client", "-connect", target, "-CAfile", "ca.pem", "-cert", "client.pem",
                           "-key", "client.key", *more], cwd=room.dir, input="", text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False).stdout


def who_does_not_offer_h2_is_refused(room):
    server = room.serve("127.0.0.1:0", more=["--tls", room.certificates()])
    assert "ALPN protocol: h2" in s_client(room, server.addresses[0], "-alpn", "h2,http/1.1")
    assert "no application protocol" in s_client(room, server.addresses[0], "-alpn", "http/1.1")
    s_client(room, server.addresses[0])  # none at all: let shake hands, then dropped
    eventually(lambda: "conns=0" in server.ask("stats"))
    assert "alert protocol version" in s_client(room, server.addresses[0], "-alpn", "h2", "-tls1_1", "-cipher",
                                                "DEFAULT@SECLEVEL=0")
    server.hangup()
    words = server.end()
    room.peers.remove(server)
    assert "does not speak HTTP/2" in words, words


# ---- our client


class Servicer(grpc.GenericRpcHandler):
    """test.Echo, by gRPC's own server."""

    def service(self, details):
        def reply(request, index=0):
            return pb().EchoReply(text=request.text, index=index, blob=bytes(request.size))

        def say(request, context):
            if request.sleep_ms:
                time.sleep(request.sleep_ms / 1000)
            if request.code:
                context.abort([code for code in C if code.value[0] == request.code][0], request.text + " 100% ü\n")
            return reply(request)

        def many(request, context):
            for index in range(request.count):
                yield reply(request, index)
            if request.code:
                context.abort([code for code in C if code.value[0] == request.code][0], "the end")

        parts = {"request_deserializer": pb().EchoRequest.FromString,
                 "response_serializer": pb().EchoReply.SerializeToString}
        if details.method == "/test.Echo/Say":
            return grpc.unary_unary_rpc_method_handler(say, **parts)
        if details.method == "/test.Echo/Many":
            return grpc.unary_stream_rpc_method_handler(many, **parts)
        return None


class Theirs:
    """Their server on a port of its own."""

    def __init__(self, address="127.0.0.1:0", credentials=None, workers=50):
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(workers), handlers=[Servicer()], options=BIG)
        add = self.server.add_insecure_port if not credentials else \
            lambda at: self.server.add_secure_port(at, credentials)
        self.port = add(address)
        self.target = f"127.0.0.1:{self.port}"
        self.server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop(None).wait()


def our_client_asks_their_server(room):
    with Theirs() as theirs:
        client = room.client(theirs.target)
        assert client.ask("say hello 3 0 0 0") == "OK hello 3"
        assert client.ask("say hello 3000000 0 0 0") == "OK hello 3000000"
        assert client.ask("say hello 5000000 0 0 0").startswith("RESOURCE_EXHAUSTED the reply has 5000")
        for code in C:
            if code != C.OK:
                assert client.ask(f"say gone 0 0 {code.value[0]} 0") == f"{code.name} gone 100% ü"
                assert client.line() == ""  # the message's newline
        assert client.ask("say slow 0 1000 0 100").startswith("DEADLINE_EXCEEDED ")
        assert client.ask("many 50 100000 0") == "OK 50 5000000 "
        assert client.ask("many 5 10 9") == "FAILED_PRECONDITION 5 50 the end"
        assert client.ask("flood 1000 1") == "1000 of 1000"


def our_client_asks_over_a_unix_socket(room):
    with Theirs(f"unix:{room.dir}/theirs"):
        client = room.client(f"unix:{room.dir}/theirs")
        assert client.ask("say hello 3 0 0 0") == "OK hello 3"


def our_client_waits_for_their_server(room):
    with Theirs() as theirs:
        port = theirs.port
    client = room.client(f"127.0.0.1:{port}")
    assert client.ask("say x 0 0 0 0").startswith("UNAVAILABLE connect to 127.0.0.1")
    got = []
    waiter = threading.Thread(target=lambda: got.append(client.ask("ready hello 2 0 0 0")))
    waiter.start()
    time.sleep(0.2)
    with Theirs(f"127.0.0.1:{port}") as theirs:
        if theirs.port != port:
            raise Skip("the port was taken meanwhile")
        waiter.join()
        assert got == ["OK hello 2"], got


def our_client_survives_the_end_of_their_server(room):
    with Theirs() as theirs:
        client = room.client(theirs.target)
        assert client.ask("say one 0 0 0 0") == "OK one 0"
        port = theirs.port
    with Theirs(f"127.0.0.1:{port}") as theirs:
        if theirs.port != port:
            raise Skip("the port was taken meanwhile")
        assert client.ask("ready two 0 0 0 0") == "OK two 0"


def our_client_shows_and_wants_certificates(room):
    folder = room.certificates()
    credentials = grpc.ssl_server_credentials([(room.read("server.key"), room.read("server.pem"))],
                                              room.read("ca.pem"), True)
    with Theirs(credentials=credentials) as theirs:
        def first(*more):
            return room.client(*more).ask("say hello 3000000 0 0 0")
        assert first(theirs.target, "--tls", folder) == "OK hello 3000000"
        assert first(theirs.target, "--tls", folder, "--name", "node-1") == "OK hello 3000000"
        said = first(theirs.target, "--tls", folder, "--name", "node-2")
        assert said.startswith("UNAVAILABLE ") and "mismatch" in said, said
        assert first(theirs.target, "--tls", f"none:{folder}").startswith("UNAVAILABLE ")
        said = first(theirs.target, "--tls", f"{folder}/wrong")
        assert said.startswith("UNAVAILABLE ") and "certificate" in said, said
        assert first(theirs.target).startswith("UNAVAILABLE ")


def our_client_refuses_a_server_without_h2(room):
    folder = room.certificates()
    server = subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key",
                               "server.key"], cwd=folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    try:
        line = ""
        while not line.startswith("ACCEPT "):
            line = server.stdout.readline()
        said = room.client(line.split()[1], "--tls", folder).ask("say x 0 0 0 0")
        assert said.startswith("UNAVAILABLE ") and "does not speak HTTP/2" in said, said
    finally:
        server.kill()
        server.communicate()


def certificates_that_are_none_are_named(room):
    folder = room.certificates()
    for name, text, words in (("server.key", "nothing", "no private key"), ("server.pem", "", "no certificate"),
                              ("ca.pem", "rubbish", "no certificate")):
        bad = f"{room.dir}/bad"
        subprocess.run(["sh", "-c", f"mkdir -p {bad} && cp {folder}/*.pem {folder}/*.key {bad}"], check=True)
        with open(f"{bad}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run([room.exe, "serve", "127.0.0.1:0", "--tls", bad], input="", text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False)
        assert done.returncode and f"{bad}/{name}" in done.stderr and words in done.stderr, done.stderr


CASES = [
    calls_over_tcp_and_unix_sockets,
    every_status_has_its_code_and_words,
    optional_fields_have_presence_on_both_sides,
    bad_strings_are_refused,
    deadlines_end_calls_and_their_handlers,
    cancelled_calls_end_their_handlers,
    streams_have_all_messages_status_and_metadata,
    a_slow_reader_holds_up_its_stream_only,
    metadata_arrives,
    big_messages_pass_and_bigger_ones_are_refused,
    compressed_requests_are_unimplemented,
    a_thousand_calls_in_flight_are_answered,
    more_calls_than_streams_wait_for_their_turn,
    health_is_told_and_watched,
    calls_in_flight_survive_the_end_of_the_server,
    old_connections_are_replaced_without_a_failure,
    a_client_with_its_certificate_is_let_in,
    wrong_and_missing_certificates_are_refused,
    who_does_not_offer_h2_is_refused,
    our_client_asks_their_server,
    our_client_asks_over_a_unix_socket,
    our_client_waits_for_their_server,
    our_client_survives_the_end_of_their_server,
    our_client_shows_and_wants_certificates,
    our_client_refuses_a_server_without_h2,
    certificates_that_are_none_are_named,
]

if __name__ == "__main__":
    sys.exit(main(Room(sys.argv[1], sys.argv[2]), CASES))
