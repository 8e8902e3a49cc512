//! What a stranger can make the server compute: no power of anything.

use super::*;
use crate::crypt::dh::POWERS;

const KEY: &[u8] = b"the key";

/// The powers that a server computes for a client which sends `value`, with a tag of the holder of
/// `key` that is then changed by `forge`; and how that ends.
fn powers_for(
    key: &[u8],
    pfs: Pfs,
    value: [u8; PUBLIC_LEN],
    forge: impl Fn(&mut [u8; MAC_LEN]),
) -> (u32, Result<(), HandshakeError>) {
    let entropy = Entropy::draw(|bytes| -> Result<(), ()> {
        bytes.fill(5);
        Ok(())
    });
    let keys: Arc<[SharedKey]> = Arc::from([SharedKey::from_pieces([KEY])]);
    POWERS.set(0);
    let mut out = Vec::new();
    let server = Handshake::start(Role::Decrypt, pfs, keys, entropy.unwrap(), &mut out);
    let theirs = [6; NONCE_LEN];
    let Ok(Progress::Waiting(server)) = server.handle_message(&theirs, &mut out) else {
        panic!("a nonce is always good");
    };
    let nonces = Nonces { client: theirs, server: *out.first_chunk().unwrap() };
    let mut tag = HandshakeKeys::derive(&SharedKey::from_pieces([key]), &nonces).client_tag(&value);
    forge(&mut tag);
    let answered = out.len();
    let message = [&value[..], &tag].concat();
    let outcome = server.handle_message(&message, &mut out).map(drop);
    assert_eq!(outcome.is_err(), out.len() == answered, "a stranger gets no answer");
    (POWERS.get(), outcome)
}

/// A value in range: 3.
fn three() -> [u8; PUBLIC_LEN] {
    let mut value = [0; PUBLIC_LEN];
    value[PUBLIC_LEN - 1] = 3;
    value
}

#[test]
fn strangers_cost_no_exponentiation() {
    let honest = |_: &mut [u8; MAC_LEN]| ();
    let wrong = Err(HandshakeError::WrongKey);
    for pfs in [Pfs::Allow, Pfs::Require, Pfs::Refuse] {
        assert_eq!(powers_for(b"another key", pfs, three(), honest), (0, wrong));
        assert_eq!(powers_for(KEY, pfs, three(), |tag| tag[31] ^= 1), (0, wrong));
        assert_eq!(powers_for(KEY, pfs, [0xff; PUBLIC_LEN], |tag| tag[0] ^= 1), (0, wrong));
        let too_large = Err(HandshakeError::PublicValueTooLarge);
        assert_eq!(powers_for(KEY, pfs, [0xff; PUBLIC_LEN], honest), (0, too_large));
    }
    let refused = Err(HandshakeError::NoForwardSecrecy);
    assert_eq!(powers_for(KEY, Pfs::Require, ONE, honest), (0, refused));
    // The holder of the key makes us compute our value and the common one, or as much as it needs.
    assert_eq!(powers_for(KEY, Pfs::Require, three(), honest), (2, Ok(())));
    assert_eq!(powers_for(KEY, Pfs::Allow, ONE, honest), (1, Ok(())));
    assert_eq!(powers_for(KEY, Pfs::Refuse, three(), honest), (0, Ok(())));
}
