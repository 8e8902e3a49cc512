//! Every length on the wire, in one place.
//!
//! Owns the numbers of the spiped protocol and the arithmetic that ties them together. Holds no
//! code: `handshake.rs` and `crypt/packet.rs` are where the numbers are used.

/// Bytes of a connection nonce.
pub const NONCE_LEN: usize = 32;

/// Bytes of an HMAC-SHA256 tag.
pub const MAC_LEN: usize = 32;

/// Bytes of a Diffie-Hellman public value: group 14 has a 2048-bit modulus, sent big-endian.
pub const PUBLIC_LEN: usize = 256;

/// Bytes of the second handshake message: a public value and its tag.
pub const PUBLIC_MESSAGE_LEN: usize = PUBLIC_LEN + MAC_LEN;

/// Bytes of a secret exponent.
pub const EXPONENT_LEN: usize = 32;

/// The most bytes of a stream that one packet carries.
pub const PACKET_DATA_LEN: usize = 1024;

/// Bytes of the big-endian length that follows the padded data.
pub const LENGTH_LEN: usize = 4;

/// Bytes of a packet that are encrypted: padded data, then the length.
pub const PACKET_BODY_LEN: usize = PACKET_DATA_LEN + LENGTH_LEN;

/// Bytes of a whole packet: the encrypted body, then its tag.
pub const PACKET_LEN: usize = PACKET_BODY_LEN + MAC_LEN;

/// Bytes of dk_1: one MAC key for the handshake message of either side.
pub const DK1_LEN: usize = 2 * MAC_LEN;

/// Bytes of dk_2: an AES-256 key and a MAC key for either direction.
pub const DK2_LEN: usize = 4 * 32;

/// The most packets that are sealed or opened in one turn: a multiple of the sixteen that are
/// hashed together, whose bytes come close below two segments of the largest size (64 KiB) on
/// either side. One packet more than fits costs the system a small segment with every write.
pub const BATCH_PACKETS: usize = 112;

const _: () = assert!(BATCH_PACKETS * PACKET_LEN < 2 * (64 << 10));

const _: () = assert!(PUBLIC_MESSAGE_LEN == 288);
const _: () = assert!(PACKET_BODY_LEN == 1028);
const _: () = assert!(PACKET_LEN == 1060);
// A length that fits its field with room to spare, so the casts in packet.rs cannot truncate.
const _: () = assert!(PACKET_DATA_LEN < u32::MAX as usize);
