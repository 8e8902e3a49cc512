//! The groups of the cases of Autobahn's test suite, by number, in both roles.
//!
//! The suite itself echoes text and binary messages. Text is not for us: where a case is about text
//! for its own sake, a Close with code 1003 is expected instead; where it is about frames, they are
//! binary here. Groups 8 and 11 do not exist, and 12 and 13 are about compression, which we never
//! agree to.

use std::io::Write;

use super::raw::*;

/// Runs a case in both roles, against somebody who knows nothing of half-closes.
#[track_caller]
fn case(test: impl Fn(&mut Raw)) {
    for plays in BOTH {
        let (mut raw, echo) = Raw::start(plays, HalfClose::Unknown, None);
        test(&mut raw);
        drop(raw);
        drop(echo.outcome()); // it comes to an end at all
    }
}

/// The frames are refused with this code, whether they come at once or byte by byte.
#[track_caller]
fn refused(frames: &[(u8, &[u8])], code: u16) {
    for piece in [usize::MAX, 1] {
        case(|raw| {
            raw.send_chopped(frames, piece);
            raw.expect_close(code);
            raw.expect_end();
        });
    }
}

/// The frames are answered by these bytes, whether they come at once or byte by byte; afterwards
/// the connection is still of use.
#[track_caller]
fn echoed(frames: &[(u8, &[u8])], answer: &[u8]) {
    for piece in [usize::MAX, 1] {
        case(|raw| {
            raw.send_chopped(frames, piece);
            assert_eq!(raw.receive_bytes(answer.len()), answer);
            closes(raw);
        });
    }
}

/// A Close is answered by a Close, and the connection is over.
#[track_caller]
fn closes(raw: &mut Raw) {
    raw.send(CLOSE, &1000_u16.to_be_bytes());
    raw.expect_close(1000);
    raw.expect_end();
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[test]
fn group_1_framing() {
    // 1.1: text, of whatever length.
    for len in [0, 125, 126, 65536] {
        case(|raw| {
            raw.send(TEXT, &vec![b'*'; len]);
            raw.expect_close(1003);
            raw.expect_end();
        });
    }
    // 1.2.1 to 1.2.7.
    for len in [0, 125, 126, 127, 128, 65535, 65536] {
        case(|raw| {
            raw.send(BINARY, &pattern(len));
            assert_eq!(raw.receive_bytes(len), pattern(len));
            closes(raw);
        });
    }
    // 1.2.8: in pieces of 997 bytes.
    case(|raw| {
        raw.send_chopped(&[(BINARY, &pattern(65536))], 997);
        assert_eq!(raw.receive_bytes(65536), pattern(65536));
        closes(raw);
    });
}

#[test]
fn group_2_pings_and_pongs() {
    // 2.1 to 2.4 and 2.6: any payload comes back, however slowly it was sent.
    let longest = [0xfe; 125];
    for payload in [&b""[..], b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", &longest] {
        for piece in [usize::MAX, 1] {
            case(|raw| {
                raw.send_chopped(&[(PING, payload)], piece);
                assert_eq!(raw.receive(), (PONG, payload.to_vec()));
                closes(raw);
            });
        }
    }
    // 2.5: 126 bytes are too many.
    refused(&[(PING, &[0xfe; 126])], 1002);
    // 2.7 to 2.9: Pongs that nobody asked for.
    case(|raw| {
        raw.send(PONG, b"");
        raw.send(PONG, b"unsolicited pong payload");
        raw.send(PING, b"ping payload");
        assert_eq!(raw.receive(), (PONG, b"ping payload".to_vec()));
        closes(raw);
    });
    // 2.10 and 2.11: ten in a row.
    let payloads: Vec<String> = (0..10).map(|number| format!("payload-{number}")).collect();
    let pings: Vec<(u8, &[u8])> = payloads.iter().map(|text| (PING, text.as_bytes())).collect();
    for piece in [usize::MAX, 1] {
        case(|raw| {
            raw.send_chopped(&pings, piece);
            for text in &payloads {
                assert_eq!(raw.receive(), (PONG, text.as_bytes().to_vec()));
            }
            closes(raw);
        });
    }
}

#[test]
fn group_3_reserved_bits() {
    // 3.1 to 3.7: each bit and all of them together; what was right before is echoed.
    for bits in 1..8 {
        refused(&[(BINARY | bits << 4, b"Hello, world!")], 1002);
        refused(&[(PING | bits << 4, b"Hello, world!")], 1002);
        refused(&[(CLOSE | bits << 4, b"")], 1002);
        case(|raw| {
            raw.send(BINARY, b"good");
            assert_eq!(raw.receive_bytes(4), b"good");
            raw.send(BINARY | bits << 4, b"bad");
            raw.expect_close(1002);
            raw.expect_end();
        });
    }
}

#[test]
fn group_4_reserved_opcodes() {
    // 4.1: those for data; 4.2: those for control.
    for opcode in (3..8).chain(11..16) {
        refused(&[(0x80 | opcode, b"")], 1002);
        refused(&[(0x80 | opcode, b"reserved opcode payload")], 1002);
        case(|raw| {
            raw.send(BINARY, b"good");
            assert_eq!(raw.receive_bytes(4), b"good");
            raw.send_chopped(&[(0x80 | opcode, b"x"), (PING, b"")], usize::MAX);
            raw.expect_close(1002);
            raw.expect_end();
        });
    }
}

#[test]
fn group_5_fragmentation() {
    // 5.1 and 5.2: control frames in pieces.
    refused(&[(0x09, b"fragment1"), (LAST, b"fragment2")], 1002);
    refused(&[(0x0a, b"fragment1"), (LAST, b"fragment2")], 1002);
    // 5.3 to 5.5.
    echoed(&[(FIRST, b"fragment1"), (LAST, b"fragment2")], b"fragment1fragment2");
    // 5.6 to 5.8: a Ping in between is answered before the end of the message.
    for piece in [usize::MAX, 1] {
        case(|raw| {
            raw.send(FIRST, b"fragment1");
            assert_eq!(raw.receive_bytes(9), b"fragment1"); // it is not held back
            raw.send_chopped(&[(PING, b"ping payload")], piece);
            assert_eq!(raw.receive(), (PONG, b"ping payload".to_vec()));
            raw.send_chopped(&[(LAST, b"fragment2")], piece);
            assert_eq!(raw.receive_bytes(9), b"fragment2");
            closes(raw);
        });
    }
    // 5.9 to 5.14: nothing to continue.
    refused(&[(LAST, b"non-continuation payload"), (BINARY, b"Hello, world!")], 1002);
    refused(&[(NEXT, b"non-continuation payload"), (BINARY, b"Hello, world!")], 1002);
    // 5.15: a continuation of what has ended.
    case(|raw| {
        raw.send_chopped(&[(FIRST, b"1"), (LAST, b"2")], usize::MAX);
        assert_eq!(raw.receive_bytes(2), b"12");
        raw.send_chopped(&[(NEXT, b"3"), (BINARY, b"4")], usize::MAX);
        raw.expect_close(1002);
        raw.expect_end();
    });
    // 5.16 and 5.17, of text.
    refused(&[(NEXT, b"1"), (FIRST_TEXT, b"2"), (LAST, b"3")], 1002);
    // 5.18: a message in a message.
    refused(&[(FIRST, b""), (BINARY, b"fragment2")], 1002);
    // 5.19 and 5.20: five pieces, Pings between them.
    case(|raw| {
        for (number, first) in [FIRST, NEXT, NEXT, NEXT, LAST].into_iter().enumerate() {
            let text = format!("fragment{number}");
            raw.send(first, text.as_bytes());
            assert_eq!(raw.receive_bytes(text.len()), text.as_bytes());
            raw.send(PING, b"pongme");
            assert_eq!(raw.receive(), (PONG, b"pongme".to_vec()));
        }
        closes(raw);
    });
}

#[test]
fn group_6_utf_8() {
    // 6.1 to 6.23: good or bad, in one piece or several, text is refused for being text.
    let texts: [&[u8]; 5] = [
        b"",
        "Hello-µ@ßöäüàá-UTF-8!!".as_bytes(),
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64",
        b"\xf4\x90\x80\x80",
        b"\xfe\xfe\xff\xff",
    ];
    for text in texts {
        refused(&[(TEXT, text)], 1003);
        refused(&[(FIRST_TEXT, text)], 1003);
        // The same bytes are nothing special as what they are.
        if !text.is_empty() {
            echoed(&[(BINARY, text)], text);
        }
    }
}

#[test]
fn group_7_closing() {
    // 7.1.1 and 7.3.1 to 7.3.5: what may be in a Close.
    let long = [b"\x03\xe8", &[b'*'; 123][..]].concat();
    for body in [&b""[..], b"\x03\xe8", b"\x03\xe8Hello World!", &long] {
        case(|raw| {
            raw.send(BINARY, b"Hello World!");
            assert_eq!(raw.receive_bytes(12), b"Hello World!");
            raw.send(CLOSE, body);
            raw.expect_close(1000);
            raw.expect_end();
        });
    }
    // 7.1.2 to 7.1.5: after a Close nothing counts.
    let after: [&[(u8, &[u8])]; 4] =
        [&[(CLOSE, b"")], &[(PING, b"")], &[(BINARY, b"x")], &[(LAST, b"fragment2")]];
    for more in after {
        case(|raw| {
            let frames = [&[(CLOSE, &b"\x03\xe8"[..])], more].concat();
            raw.send_chopped(&frames, usize::MAX);
            raw.expect_close(1000);
            raw.expect_end();
        });
    }
    // 7.1.5: a Close within a message.
    case(|raw| {
        raw.send_chopped(&[(FIRST, b"fragment1")], usize::MAX);
        assert_eq!(raw.receive_bytes(9), b"fragment1");
        closes(raw);
    });
    // 7.1.6: 256 KiB just before it.
    case(|raw| {
        let data = pattern(256 << 10);
        raw.send(BINARY, &data);
        assert_eq!(raw.receive_bytes(data.len()), data);
        closes(raw);
    });
    // 7.3.2 and 7.3.6: half a code, and one byte too many.
    refused(&[(CLOSE, b"\x03")], 1002);
    refused(&[(CLOSE, &[b"\x03\xe8", &[b'*'; 124][..]].concat())], 1002);
    // 7.5.1: a reason that is not UTF-8.
    refused(&[(CLOSE, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xed\xa0\x80\x65")], 1007);
    // 7.7: codes that there are.
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999_u16] {
        case(|raw| {
            raw.send(CLOSE, &code.to_be_bytes());
            raw.expect_close(1000);
            raw.expect_end();
        });
    }
    // 7.9 and 7.13: codes that there are not.
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535_u16] {
        refused(&[(CLOSE, &code.to_be_bytes())], 1002);
    }
}

#[test]
fn group_9_large_messages() {
    // 9.2: one message; 9.4: fragments; 9.6: pieces of bytes. All of it flows through while it
    // comes.
    let data = pattern(4 << 20);
    let flows = |fragment: usize, piece: usize| {
        case(|raw| {
            let mut frames = Vec::new();
            let count = data.len().div_ceil(fragment);
            for (number, part) in data.chunks(fragment).enumerate() {
                let opcode = if number == 0 { FIRST } else { NEXT };
                let fin = if number + 1 == count { LAST } else { 0 };
                frames.extend(raw.frame(opcode | fin, part));
            }
            let mut sending = raw.socket.try_clone().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    frames.chunks(piece).for_each(|chunk| sending.write_all(chunk).unwrap());
                });
                assert!(raw.receive_bytes(data.len()) == data, "other bytes come back");
            });
            closes(raw);
        });
    };
    flows(data.len(), usize::MAX);
    for fragment in [64, 1024, 64 << 10, 1 << 20] {
        flows(fragment, usize::MAX);
    }
    for piece in [100, 2048] {
        flows(data.len(), piece);
    }
    // 9.8: many small ones, one after the other.
    case(|raw| {
        for len in [0, 16, 64, 256, 1024, 4096] {
            for _ in 0..50 {
                raw.send(BINARY, &pattern(len));
                assert_eq!(raw.receive_bytes(len), pattern(len));
            }
        }
        closes(raw);
    });
}

#[test]
fn group_10_fragments_of_1300_bytes() {
    case(|raw| {
        let data = pattern(65536);
        let count = data.len().div_ceil(1300);
        for (number, part) in data.chunks(1300).enumerate() {
            let opcode = if number == 0 { FIRST } else { NEXT };
            raw.send(opcode | if number + 1 == count { LAST } else { 0 }, part);
        }
        assert_eq!(raw.receive_bytes(data.len()), data);
        closes(raw);
    });
}
