#!/usr/bin/env python3
"""Writes protocol.txt, the test vectors of the spiped protocol, and can check it.

Owns a second implementation of the protocol, made for this purpose from its description alone:
Python's standard library has SHA-256, HMAC, PBKDF2 and modular powers; AES-256 is written out
below. It is slow, it does not protect secrets, and it shares no line with what it tests.
`record_c.py` is next: it speaks with C spiped by means of this file.

    ./generate.py           writes protocol.txt beside this script
    ./generate.py --check   exits with status 1 if protocol.txt is not what would be written
"""

import hashlib
import hmac
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE / "protocol.txt"

# Group 14 of RFC 3526; the base is 2.
P = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"
    "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05"
    "98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB"
    "9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718"
    "3995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)

# What the packets 0, 1 and 2 of either direction carry, in bytes.
DATA_LENGTHS = (1, 1024, 517)


def xtime(a):
    """a times x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, 4.2.1)."""
    return ((a << 1) ^ 0x11B if a & 0x80 else a << 1) & 0xFF


def gf_multiply(a, b):
    """a times b in GF(2^8)."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a, b = xtime(a), b >> 1
    return product


def make_s_box():
    """FIPS 197, 5.1.1: the inverse in GF(2^8), then the affine transformation."""
    box = []
    for byte in range(256):
        # The inverse is the power of 254; that of 0 is 0.
        inverse = byte
        for _ in range(253):
            inverse = gf_multiply(inverse, byte)
        turned = inverse
        result = inverse ^ 0x63
        for _ in range(4):
            turned = ((turned << 1) | (turned >> 7)) & 0xFF
            result ^= turned
        box.append(result)
    return box


S_BOX = make_s_box()


def aes256_expand(key):
    """FIPS 197, 5.2: 15 round keys of 16 bytes."""
    words = [list(key[i : i + 4]) for i in range(0, 32, 4)]
    round_constant = 1
    for i in range(8, 60):
        word = list(words[i - 1])
        if i % 8 == 0:
            word = [S_BOX[b] for b in word[1:] + word[:1]]
            word[0] ^= round_constant
            round_constant = xtime(round_constant)
        elif i % 8 == 4:
            word = [S_BOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[i - 8], word)])
    return [sum(words[i : i + 4], []) for i in range(0, 60, 4)]


def aes256_encrypt(round_keys, block):
    """FIPS 197, 5.1: one block of 16 bytes; byte r + 4c of it is row r, column c of the state."""
    state = [a ^ b for a, b in zip(block, round_keys[0])]
    for number in range(1, 15):
        state = [S_BOX[b] for b in state]
        state = [state[(i + 4 * (i % 4)) % 16] for i in range(16)]
        if number < 14:
            mixed = []
            for c in range(0, 16, 4):
                a = state[c : c + 4]
                for r in range(4):
                    b = a[(r + 1) % 4]
                    mixed.append(xtime(a[r]) ^ xtime(b) ^ b ^ a[(r + 2) % 4] ^ a[(r + 3) % 4])
            state = mixed
        state = [a ^ b for a, b in zip(state, round_keys[number])]
    return bytes(state)


def aes256_ctr(key, counter, data):
    """SP 800-38A, 6.5: the counter block is the number `counter`, then the one after it, ..."""
    round_keys = aes256_expand(key)
    stream = b""
    while len(stream) < len(data):
        stream += aes256_encrypt(round_keys, counter.to_bytes(16, "big"))
        counter += 1
    return bytes(a ^ b for a, b in zip(data, stream))


def check_aes():
    """FIPS 197, C.3, and the first block of SP 800-38A, F.5.5: no vector is made with a wrong AES."""
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    got = aes256_encrypt(aes256_expand(bytes(range(32))), block)
    assert got.hex() == "8ea2b7ca516745bfeafc49904b496089", "AES-256 differs from FIPS 197, C.3"
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    counter = int("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", 16)
    got = aes256_ctr(key, counter, bytes.fromhex("6bc1bee22e409f96e93d7e117393172a"))
    assert got.hex() == "601ec313775789a5b7a7f504bbf3d228", "CTR differs from SP 800-38A, F.5.5"


def mac(key, message):
    """HMAC-SHA256."""
    return hmac.new(key, message, hashlib.sha256).digest()


def pbkdf2(password, salt, length):
    """PBKDF2-HMAC-SHA256 with one iteration."""
    return hashlib.pbkdf2_hmac("sha256", password, salt, 1, length)


def public_value(exponent):
    """y of 32 bytes of exponent, or of None, which stands for -f."""
    return pow(2, int.from_bytes(exponent or b"", "big"), P).to_bytes(256, "big")


def shared_value(public, exponent):
    """y_SC of the peer's y and our exponent, or 1 if the exponent is None."""
    y = int.from_bytes(public, "big")
    return pow(y, int.from_bytes(exponent or b"", "big"), P).to_bytes(256, "big")


def handshake_keys(key, nonces):
    """dhmac_C and dhmac_S, of K and nonce_C || nonce_S."""
    dk_1 = pbkdf2(key, nonces, 64)
    return dk_1[:32], dk_1[32:]


def seal(cipher_key, mac_key, number, data):
    """Packet `number` of a direction: 1060 bytes."""
    assert 1 <= len(data) <= 1024
    body = data.ljust(1024, b"\0") + len(data).to_bytes(4, "big")
    body = aes256_ctr(cipher_key, number << 64, body)
    return body + mac(mac_key, body + number.to_bytes(8, "big"))


def unseal(cipher_key, mac_key, number, packet):
    """What packet `number` of a direction carries."""
    body, tag = packet[:1028], packet[1028:]
    assert hmac.compare_digest(tag, mac(mac_key, body + number.to_bytes(8, "big"))), "wrong tag"
    body = aes256_ctr(cipher_key, number << 64, body)
    length = int.from_bytes(body[1024:], "big")
    assert 1 <= length <= 1024, f"length {length}"
    assert not any(body[length:1024]), "the padding is not zero"
    return body[:length]


def expand(label, length):
    """Bytes that only look random, so that anybody can see that nothing is hidden in them."""
    blocks = (hashlib.sha256(b"%s %d" % (label.encode(), i)).digest() for i in range(length))
    out = b""
    while len(out) < length:
        out += next(blocks)
    return out[:length]


def case_records(name, key_file, nonces=None, exponents=(b"", b"")):
    """The records of one case, in order. An exponent of None is -f; an empty one is expanded."""
    nonce_c, nonce_s = nonces or (expand(f"{name} nonce_C", 32), expand(f"{name} nonce_S", 32))
    x_c, x_s = (
        expand(f"{name} x_{side}", 32) if x == b"" else x for side, x in zip("CS", exponents)
    )
    key = hashlib.sha256(key_file).digest()
    dhmac_c, dhmac_s = handshake_keys(key, nonce_c + nonce_s)
    y_c, y_s = public_value(x_c), public_value(x_s)
    y_sc = shared_value(y_s, x_c)
    assert y_sc == shared_value(y_c, x_s), "the two sides do not agree"
    dk_2 = pbkdf2(key, nonce_c + nonce_s + y_sc, 128)
    yield "f_C", bytes([x_c is None])
    yield "f_S", bytes([x_s is None])
    yield "key_file", key_file
    yield "K", key
    yield "nonce_C", nonce_c
    yield "nonce_S", nonce_s
    yield "dk_1", dhmac_c + dhmac_s
    yield "x_C", x_c or b""
    yield "y_C", y_c
    yield "h_C", mac(dhmac_c, y_c)
    yield "x_S", x_s or b""
    yield "y_S", y_s
    yield "h_S", mac(dhmac_s, y_s)
    yield "y_SC", y_sc
    yield "dk_2", dk_2
    for side, at in (("C", 0), ("S", 64)):
        for number, length in enumerate(DATA_LENGTHS):
            data = expand(f"{name} data_{side} {number}", length)
            yield f"data_{side}_{number}", data
            packet = seal(dk_2[at : at + 32], dk_2[at + 32 : at + 64], number, data)
            yield f"packet_{side}_{number}", packet


def cases():
    """Every case: its name and its records."""
    key_file = expand("key file", 32)
    zero, one, two, largest = (n.to_bytes(32, "big") for n in (0, 1, 2, 2**256 - 1))
    plan = {
        "both-pfs": {},
        "client-f": {"exponents": (None, b"")},
        "server-f": {"exponents": (b"", None)},
        "both-f": {"exponents": (None, None)},
        "key-file-of-0-bytes": {"key_file": b""},
        "key-file-of-5000-bytes": {"key_file": expand("long key file", 5000)},
        "nonces-all-0-and-all-f": {"nonces": (zero, largest)},
        "same-nonce-and-exponent-at-both-ends": {
            "nonces": (expand("one nonce", 32),) * 2,
            "exponents": (expand("one exponent", 32),) * 2,
        },
        "exponents-largest": {"exponents": (largest, largest)},
        "exponents-1-and-2": {"exponents": (one, two)},
        "exponents-0-and-largest": {"exponents": (zero, largest)},
        "exponents-largest-and-0": {"exponents": (largest, zero)},
    }
    for name, options in plan.items():
        yield name, case_records(name, **{"key_file": key_file, **options})


def render(header, all_cases):
    """The text of a file: the header as comments, then the cases."""
    lines = [f"# {line}".rstrip() for line in header.strip("\n").split("\n")]
    for name, records in all_cases:
        lines += ["", f"case = {name}"]
        lines += [f"{record} = {value.hex()}".rstrip() for record, value in records]
    return "\n".join(lines) + "\n"


def main():
    """Writes or checks protocol.txt."""
    check_aes()
    text = render((HERE / "protocol-header.txt").read_text("utf-8"), cases())
    if sys.argv[1:] == ["--check"]:
        if not TARGET.exists() or TARGET.read_text("utf-8") != text:
            sys.exit(f"{TARGET.name} is not what generate.py makes; run it without --check")
    elif sys.argv[1:]:
        sys.exit("usage: generate.py [--check]")
    else:
        TARGET.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
