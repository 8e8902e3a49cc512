//! The keys and packets of the spiped protocol, written from its description alone.
//!
//! It refuses what does not fit that description, down to the padding. Next: `pattern.rs`.

use std::io;

use aes::Aes256;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use num_bigint_dig::BigUint;
use sha2::{Digest, Sha256};

/// Bytes of a nonce.
pub const NONCE: usize = 32;
/// Bytes of a public Diffie-Hellman value with its MAC.
pub const PUBLIC: usize = 256 + 32;
/// Most data bytes in a packet.
pub const MOST: usize = 1024;
/// Bytes of a packet: data, length, MAC.
pub const PACKET: usize = MOST + 4 + 32;

/// RFC 3526, group 14.
const PRIME: &[u8] = b"FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05\
98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB\
9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718\
3995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF";

/// The error for what a peer must not send.
pub(crate) fn not_as_it_should_be(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is not as it should be"))
}

/// HMAC-SHA256 over the concatenation of `parts`.
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// PBKDF2-HMAC-SHA256 with one iteration, from the hash of a key file.
pub(crate) fn derive<const N: usize>(secret: &[u8], salt: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    let key = Sha256::digest(secret);
    pbkdf2::pbkdf2_hmac::<Sha256>(&key, &salt.concat(), 1, &mut out);
    out
}

/// A number modulo the prime of the group, as 256 bytes in big-endian order.
fn to_bytes(value: &BigUint) -> [u8; 256] {
    let bytes = value.to_bytes_be();
    let mut out = [0; 256];
    out[256 - bytes.len()..].copy_from_slice(&bytes);
    out
}

/// The prime of the group.
pub fn prime() -> [u8; 256] {
    to_bytes(&BigUint::parse_bytes(PRIME, 16).expect("a hexadecimal number"))
}

/// base^exponent modulo the prime of the group.
fn power(base: &[u8], exponent: &[u8]) -> [u8; 256] {
    let prime = BigUint::parse_bytes(PRIME, 16).expect("a hexadecimal number");
    let value = BigUint::from_bytes_be(base).modpow(&BigUint::from_bytes_be(exponent), &prime);
    to_bytes(&value)
}

/// 2^exponent.
pub(crate) fn public(exponent: &[u8]) -> [u8; 256] {
    power(&[2], exponent)
}

/// The shared value.
pub(crate) fn shared(peer: &[u8], exponent: &[u8]) -> [u8; 256] {
    power(peer, exponent)
}

/// The number one, which is sent and used without perfect forward secrecy.
pub(crate) fn one() -> [u8; 256] {
    power(&[1], &[1])
}

/// The keys and the counter of one direction.
pub struct Direction {
    cipher_key: [u8; 32],
    mac_key: [u8; 32],
    packets: u64,
}

impl Direction {
    /// From the 64 bytes of its keys: cipher, MAC.
    pub fn new(keys: &[u8]) -> Self {
        Self {
            cipher_key: keys[..32].try_into().expect("32 bytes"),
            mac_key: keys[32..64].try_into().expect("32 bytes"),
            packets: 0,
        }
    }

    /// A packet of up to 1024 bytes that says it has `length` of them.
    pub fn seal_as(&mut self, data: &[u8], length: u32) -> [u8; PACKET] {
        let mut packet = [0; PACKET];
        packet[..data.len()].copy_from_slice(data);
        packet[MOST..MOST + 4].copy_from_slice(&length.to_be_bytes());
        self.crypt(&mut packet[..MOST + 4]);
        let tag = self.tag(&packet[..MOST + 4]);
        packet[MOST + 4..].copy_from_slice(&tag);
        self.packets += 1;
        packet
    }

    /// A packet.
    pub fn seal(&mut self, data: &[u8]) -> [u8; PACKET] {
        self.seal_as(data, data.len().try_into().expect("at most 1024"))
    }

    /// The data in a packet.
    pub fn open(&mut self, packet: &[u8; PACKET]) -> io::Result<Vec<u8>> {
        let number = self.packets;
        let wrong = |what: String| not_as_it_should_be(&format!("{what} of packet {number}"));
        let (mut data, length) = self.unseal(packet).ok_or_else(|| wrong("the MAC".to_owned()))?;
        let length = length as usize;
        if !(1..=MOST).contains(&length) {
            return Err(wrong(format!("the length ({length})")));
        }
        if data[length..].iter().any(|byte| *byte != 0) {
            return Err(wrong("the padding".to_owned()));
        }
        data.truncate(length);
        Ok(data)
    }

    /// The data in a packet with its padding, and the length it tells; `None` if the MAC is wrong.
    pub fn unseal(&mut self, packet: &[u8; PACKET]) -> Option<(Vec<u8>, u32)> {
        let (body, tag) = packet.split_at(MOST + 4);
        if tag != self.tag(body) {
            return None;
        }
        let mut body = body.to_owned();
        self.crypt(&mut body);
        self.packets += 1;
        let length = u32::from_be_bytes(body[MOST..].try_into().expect("4 bytes"));
        body.truncate(MOST);
        Some((body, length))
    }

    // The counter block: the number of the packet, then that of the block, both big-endian.
    fn crypt(&self, body: &mut [u8]) {
        let mut block = [0; 16];
        block[..8].copy_from_slice(&self.packets.to_be_bytes());
        ctr::Ctr128BE::<Aes256>::new(&self.cipher_key.into(), &block.into()).apply_keystream(body);
    }

    fn tag(&self, body: &[u8]) -> [u8; 32] {
        mac(&self.mac_key, &[body, &self.packets.to_be_bytes()])
    }
}
