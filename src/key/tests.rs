//! Keys of every source and length, and what is said of those that are none.

use std::io::Write;
use std::path::PathBuf;

use super::*;

fn key_of(file: &File) -> SharedKey {
    read_to_end(file).unwrap().0
}

/// The handshake keys tell two shared keys apart without showing either.
fn fingerprint(key: &SharedKey) -> [u8; 32] {
    let nonces = spiped_proto::crypt::Nonces { client: [1; 32], server: [2; 32] };
    spiped_proto::crypt::HandshakeKeys::derive(key, &nonces).client_tag(&[3; 256])
}

#[test]
fn the_key_is_made_from_every_byte_to_the_end() {
    for length in [0, 1, 32, BUFFER_LEN, BUFFER_LEN + 1, 3 * BUFFER_LEN + 7] {
        let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let key = read(&KeySource::File(file.path().to_owned())).unwrap();
        let expected = SharedKey::from_pieces([bytes.as_slice()]);
        assert_eq!(fingerprint(&key), fingerprint(&expected), "{length}");
    }
}

#[test]
fn a_pipe_is_read_to_its_end_even_if_it_does_not_block() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let reader = File::from(std::os::fd::OwnedFd::from(reader));
    let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
    nix::fcntl::fcntl(&reader, flags).unwrap();
    let thread = std::thread::spawn(move || key_of(&reader));
    writer.write_all(b"one ").unwrap();
    writer.write_all(b"key").unwrap();
    drop(writer);
    let expected = SharedKey::from_pieces([b"one key".as_slice()]);
    assert_eq!(fingerprint(&thread.join().unwrap()), fingerprint(&expected));
}

#[test]
fn dev_null_is_a_key_as_in_c() {
    let key = read(&KeySource::File(PathBuf::from("/dev/null"))).unwrap();
    assert_eq!(fingerprint(&key), fingerprint(&SharedKey::from_pieces([])));
}

#[test]
fn what_has_no_end_is_no_key() {
    let error = read(&KeySource::File(PathBuf::from("/dev/zero"))).unwrap_err();
    let expected = "-k \"/dev/zero\": cannot be read: after 16 MiB it still has no end; expected";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_named_pipe_is_a_key_and_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let source = KeySource::File(path.clone());
    assert!(may_wait(&source));
    let writer = std::thread::spawn(move || std::fs::write(path, b"one key").unwrap());
    let key = read(&source).unwrap();
    writer.join().unwrap();
    assert_eq!(fingerprint(&key), fingerprint(&SharedKey::from_pieces([&b"one key"[..]])));
    // What is there at once needs no watching.
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in [file.path().to_owned(), dir.path().join("missing")] {
        assert!(!may_wait(&KeySource::File(path)));
    }
}

#[test]
fn a_key_in_yaml_is_told_by_its_name() {
    let file = |name: &str| looks_like_yaml(&KeySource::File(name.into()));
    assert!(file("/etc/wormhole/key.yaml") && file("key.yml"));
    assert!(!file("/etc/yaml/key") && !file("yaml") && !looks_like_yaml(&KeySource::Stdin));
}

#[test]
fn nothing_is_no_key_to_be_compared() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let source = KeySource::File(file.path().to_owned());
    let error = read_to_compare("--show", &source).unwrap_err();
    let begin = format!("--show {:?}: the key is empty", file.path());
    assert!(error.starts_with(&begin) && !error.contains('\n'), "{error}");
    file.write_all(b"1").unwrap();
    assert!(read_to_compare("--show", &source).is_ok());
}

#[test]
fn who_else_can_read_the_key_is_known() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let modes = [
        (0o600, None),
        (0o400, None),
        (0o622, None),
        (0o640, Some("its group")),
        (0o604, Some("everybody")),
        (0o644, Some("everybody")),
    ];
    for (mode, who) in modes {
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
        let expected = who.map(|who| (who, mode));
        assert_eq!(exposure(file.as_file()).unwrap(), expected, "{mode:o}");
    }
    // No regular file: everybody can read /dev/null, and nothing is to be learned from it.
    assert_eq!(exposure(&File::open("/dev/null").unwrap()).unwrap(), None);
}

#[test]
fn errors_name_the_file_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let error = |path: &Path| read(&KeySource::File(path.to_owned())).unwrap_err();

    let missing = dir.path().join("missing");
    let text = error(&missing);
    assert!(text.starts_with(&format!("-k {missing:?}: there is no such file; make")), "{text}");
    assert!(text.contains("spiped-keygen '/") && !text.contains('\n'), "{text}");

    let text = error(dir.path());
    assert!(text.ends_with(": is a directory, expected the key file itself"), "{text}");

    let denied = io::Error::from(ErrorKind::PermissionDenied);
    let text = explain(Some(&missing), &denied);
    assert!(text.starts_with("permission denied for user number"), "{text}");
    let directory = io::Error::from(ErrorKind::IsADirectory);
    assert!(explain(None, &directory).contains("redirect"));
}
