//! What people write about a NATS server: its address, and the file that says who they are there.

use claims::{KeyKind, KeyPair};
use lattice::client::{Creds, CredsError, MAX_CREDS_FILE, Server, Servers};

/// A credentials file: what is read is a user, written it is read again, and neither blank lines, indentation nor other line
/// ends say anything.
pub fn creds_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let creds = match Creds::parse(text) {
        Ok(creds) => creds,
        Err(error) => {
            assert_eq!(matches!(error, CredsError::TooLarge), text.len() > MAX_CREDS_FILE);
            return;
        }
    };
    let key = KeyPair::from_seed(&creds.seed).expect("what is read is a seed");
    assert_eq!(key.kind(), KeyKind::User);
    assert!(!format!("{creds:?}").contains(&creds.seed));
    assert_eq!(Creds::parse(&creds.to_file()).ok().as_ref(), Some(&creds), "what is written is read");
    if text.len() < MAX_CREDS_FILE / 4 {
        for end in ["\r\n", "\n\n \t", "\r"] {
            let changed = text.replace('\n', end);
            assert_eq!(Creds::parse(&changed).ok().as_ref(), Some(&creds), "{changed:?}");
        }
    }
}

/// Addresses of servers: what is shown is read as the same place, and never has a login.
pub fn nats_address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Server::parse(text, 4222) {
        Ok(server) => {
            let shown = server.to_string();
            let again = Server::parse(&shown, 1).expect("what is shown is an address");
            assert!(again.is_same_place(&server) && !again.has_login(), "{shown}");
            assert_eq!(again.to_string(), shown);
            assert!(!shown.contains('@') && server.port() != 0);
            let url = Server::parse(&server.url(), 1).expect("what is used is an address");
            assert_eq!((url.to_string(), url.url()), (shown, server.url()), "{text:?}");
        }
        Err(error) => assert!(!error.shown.contains('@') && !error.shown.contains(char::is_control)),
    }
    if let Ok(servers) = Servers::parse(text, 4222) {
        assert_eq!(servers.urls().len(), servers.all().len());
    }
}
