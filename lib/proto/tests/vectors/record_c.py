#!/usr/bin/env python3
"""Records handshakes and packets of the C programs, for tests that replay them.

Owns the other end of a conversation with the real C spiped: fixed nonces and exponents on our
side, whatever C draws on its own. What it knows of the protocol is in `generate.py`; it verifies
every message of C before it writes anything. `recorded.rs` replays what this writes.

    ./record_c.py [PROGRAM]     PROGRAM is /usr/bin/spiped if not given

Writes c-spiped-VERSION-server.txt (C runs as spiped -d) and c-spiped-VERSION-client.txt (-e).
"""

import contextlib
import hashlib
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import generate  # noqa: E402  (the line above must come first)

DEADLINE_SECONDS = 10

HEADER = """
Conversations with C spiped {version} in the role of the {role}, recorded by record_c.py on UNIX
sockets; do not edit. In each case the {other} is the recorder, with a nonce and an exponent of
its choice.

The format and the names are those of protocol.txt, with two differences: x_{letter} is empty, as
nobody but C spiped knew it, and the {role}'s nonce, y, h and packets are as C spiped sent them.
"""


def connect(path):
    """A connection to a UNIX socket that a program which is just starting will soon listen on."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(DEADLINE_SECONDS)
        try:
            sock.connect(str(path))
            return sock
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def receive(sock, length):
    """Exactly `length` bytes."""
    data = b""
    while len(data) < length:
        piece = sock.recv(length - len(data))
        assert piece, f"the stream ended after {len(data)} of {length} bytes"
        data += piece
    return data


@contextlib.contextmanager
def running(program, role_option, key_file, c_does_f):
    """Starts C spiped; yields its encrypted side and its plain side, both connected."""
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source, target, key = (directory / name for name in ("source", "target", "key"))
        key.write_bytes(key_file)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(target))
        listener.listen()
        listener.settimeout(DEADLINE_SECONDS)
        command = [program, role_option, "-F", "-s", source, "-t", target, "-k", key]
        process = subprocess.Popen(command + ["-f"] * c_does_f)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        ours = stack.enter_context(connect(source))
        theirs = stack.enter_context(listener.accept()[0])
        theirs.settimeout(DEADLINE_SECONDS)
        yield (ours, theirs) if role_option == "-d" else (theirs, ours)


def shake_as_client(wire, key, nonce, exponent):
    """The handshake with a C server: both nonces, our y and h, C's y and h."""
    wire.sendall(nonce)
    nonce_s = receive(wire, 32)
    dhmac_c, dhmac_s = generate.handshake_keys(key, nonce + nonce_s)
    y = generate.public_value(exponent)
    h = generate.mac(dhmac_c, y)
    wire.sendall(y + h)
    answer = receive(wire, 288)
    assert answer[256:] == generate.mac(dhmac_s, answer[:256]), "wrong h_S"
    return nonce, nonce_s, (y, h), (answer[:256], answer[256:])


def shake_as_server(wire, key, nonce, exponent):
    """The handshake with a C client: both nonces, C's y and h, our y and h."""
    wire.sendall(nonce)
    nonce_c = receive(wire, 32)
    dhmac_c, dhmac_s = generate.handshake_keys(key, nonce_c + nonce)
    question = receive(wire, 288)
    assert question[256:] == generate.mac(dhmac_c, question[:256]), "wrong h_C"
    y = generate.public_value(exponent)
    h = generate.mac(dhmac_s, y)
    wire.sendall(y + h)
    return nonce_c, nonce, (question[:256], question[256:]), (y, h)


def exchange(wire, plain, name, side, keys):
    """Packets of both directions: yields the records. `side` is C's letter, `keys` by letter.

    Each piece of data is written alone and waited for, so C makes one packet of it.
    """
    for letter in "CS":
        for number, length in enumerate(generate.DATA_LENGTHS):
            data = generate.expand(f"{name} data_{letter} {number}", length)
            if letter == side:
                plain.sendall(data)
                packet = receive(wire, 1060)
                assert generate.unseal(*keys[letter], number, packet) == data
            else:
                packet = generate.seal(*keys[letter], number, data)
                wire.sendall(packet)
                assert receive(plain, length) == data
            yield f"data_{letter}_{number}", data
            yield f"packet_{letter}_{number}", packet


def end_both(wire, plain):
    """Half-close in both directions, to see that C had nothing more to say."""
    for here, there in ((wire, plain), (plain, wire)):
        here.shutdown(socket.SHUT_WR)
        assert there.recv(1) == b"", "C spiped sent more than was expected"


def case_records(program, side, name, we_do_f, c_does_f):
    """The records of one conversation. `side` is the letter of C's role."""
    key_file = generate.expand("key file", 32)
    key = hashlib.sha256(key_file).digest()
    nonce = generate.expand(f"{name} nonce", 32)
    exponent = None if we_do_f else generate.expand(f"{name} exponent", 32)
    shake, option = (shake_as_server, "-e") if side == "C" else (shake_as_client, "-d")
    with running(program, option, key_file, c_does_f) as (wire, plain):
        nonce_c, nonce_s, (y_c, h_c), (y_s, h_s) = shake(wire, key, nonce, exponent)
        peer = y_c if side == "C" else y_s
        assert c_does_f == (int.from_bytes(peer, "big") == 1)
        y_sc = generate.shared_value(peer, exponent)
        dk_2 = generate.pbkdf2(key, nonce_c + nonce_s + y_sc, 128)
        keys = {"C": (dk_2[:32], dk_2[32:64]), "S": (dk_2[64:96], dk_2[96:])}
        packets = list(exchange(wire, plain, name, side, keys))
        end_both(wire, plain)
    dk_1 = b"".join(generate.handshake_keys(key, nonce_c + nonce_s))
    f = {side: c_does_f, "CS".replace(side, ""): we_do_f}
    x = {side: b"", "CS".replace(side, ""): exponent or b""}
    return [
        ("f_C", bytes([f["C"]])), ("f_S", bytes([f["S"]])),
        ("key_file", key_file), ("K", key),
        ("nonce_C", nonce_c), ("nonce_S", nonce_s), ("dk_1", dk_1),
        ("x_C", x["C"]), ("y_C", y_c), ("h_C", h_c),
        ("x_S", x["S"]), ("y_S", y_s), ("h_S", h_s),
        ("y_SC", y_sc), ("dk_2", dk_2), *packets,
    ]  # fmt: skip


def main():
    """Records every case in both roles, then writes both files."""
    generate.check_aes()
    program = sys.argv[1] if sys.argv[1:] else "/usr/bin/spiped"
    banner = subprocess.run([program, "-v"], capture_output=True, check=True, text=True)
    version = (banner.stdout + banner.stderr).split()[1]
    for side, role, other in (("S", "server", "client"), ("C", "client", "server")):
        cases = []
        for name, we_do_f, c_does_f in (
            ("both-pfs", False, False),
            ("c-spiped-f", False, True),
            ("other-end-f", True, False),
        ):
            label = f"recorded-{role}-{name}"
            cases.append((label, case_records(program, side, label, we_do_f, c_does_f)))
        header = HEADER.format(version=version, role=role, other=other, letter=side)
        target = generate.HERE / f"c-spiped-{version}-{role}.txt"
        target.write_text(generate.render(header, cases), "utf-8")
        print(target.name)


if __name__ == "__main__":
    main()
