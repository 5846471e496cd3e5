//! Whom a request is for: host name and port, in its target or in its `host` header.
//!
//! One reading for all who ask, so that nothing which one of them takes is a fault to the next. Pure.

use http::{HeaderMap, Uri, header, uri::Authority};

/// Why a request says nothing usable about whom it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAuthority {
    /// Two of them.
    #[error("more than one `host` header")]
    Several,
    /// Not a host name with, perhaps, a port.
    #[error("`host` is not a host name, or an address, with or without a port")]
    Malformed,
    /// A name and perhaps a password before the host name, which no server of ours would look at.
    #[error("a user in front of the host name")]
    User,
}

/// The authority of the target, which counts where there is one, or of the `host` header. None where neither says any.
///
/// # Errors
/// [`NoAuthority`].
pub fn authority(target: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, NoAuthority> {
    let mut named = headers.get_all(header::HOST).iter();
    let header = named.next();
    if named.next().is_some() {
        return Err(NoAuthority::Several);
    }
    let header = header.map(|value| checked(Authority::try_from(value.as_bytes()).ok().as_ref())).transpose()?;
    let target = target.authority().map(|authority| checked(Some(authority))).transpose()?;
    Ok(target.or(header))
}

/// Whether a request says whom it is for, without taking it out.
///
/// # Errors
/// As for [`authority`].
pub fn names_authority(target: &Uri, headers: &HeaderMap) -> Result<bool, NoAuthority> {
    if target.authority().is_none() {
        let mut named = headers.get_all(header::HOST).iter();
        match (named.next(), named.next()) {
            (None, _) => return Ok(false),
            (Some(host), None) if is_plain(host.as_bytes()) => return Ok(true),
            _ => {}
        }
    }
    authority(target, headers).map(|authority| authority.is_some())
}

/// A host name, perhaps with a port, as nearly every request has it.
fn is_plain(host: &[u8]) -> bool {
    let name = host.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte)).count();
    match &host[name..] {
        _ if name == 0 => false,
        [] => true,
        [b':', port @ ..] => (1..=4).contains(&port.len()) && port.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn checked(authority: Option<&Authority>) -> Result<Authority, NoAuthority> {
    let authority = authority.ok_or(NoAuthority::Malformed)?;
    if authority.as_str().contains('@') {
        return Err(NoAuthority::User);
    }
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or("?");
    let is_port = |port: &str| {
        let digits = port.strip_prefix(':');
        digits.is_some_and(|digits| digits.is_empty() || digits.parse::<u16>().is_ok() && !digits.starts_with('+'))
    };
    if authority.host().is_empty() || !(port.is_empty() || is_port(port)) {
        return Err(NoAuthority::Malformed);
    }
    Ok(authority.clone())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use http::HeaderValue;

    use super::*;

    fn of(target: &str, hosts: &[&[u8]]) -> Result<Option<String>, NoAuthority> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_bytes(host).unwrap());
        }
        let target = target.parse().unwrap();
        let named = authority(&target, &headers);
        assert_eq!(names_authority(&target, &headers), named.clone().map(|named| named.is_some()));
        Ok(named?.map(|authority| authority.to_string()))
    }

    #[test]
    fn names_and_addresses_with_and_without_a_port_are_taken() {
        for host in ["a", "a.test:80", "127.0.0.1:8080", "[::1]", "[::1]:80", "a_b-c.test", "a:"] {
            assert_eq!(of("/", &[host.as_bytes()]), Ok(Some(host.to_owned())), "{host}");
        }
        assert_eq!(of("/", &[]), Ok(None));
        assert_eq!(of("http://b:1/x", &[b"a"]), Ok(Some("b:1".to_owned())), "the target counts");
    }

    #[test]
    fn what_is_neither_is_refused_by_its_kind() {
        for host in ["bücher.test", "a b", "", "a:b", "a:65536", "a:+1", "a/b", "[::1", "a,b c", "http://a", "a%20b"] {
            assert_eq!(of("/", &[host.as_bytes()]), Err(NoAuthority::Malformed), "{host}");
        }
        assert_eq!(of("/", &[b"u@a"]), Err(NoAuthority::User));
        assert_eq!(of("http://u:p@a/", &[b"a"]), Err(NoAuthority::User));
        assert_eq!(of("/", &[b"a", b"a"]), Err(NoAuthority::Several));
        assert_eq!(of("http://a/", &[b"\xff"]), Err(NoAuthority::Malformed), "also where the target counts");
    }
}
