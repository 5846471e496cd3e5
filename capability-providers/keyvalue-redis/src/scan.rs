//! Listing keys in pages, on top of `SCAN`.
//!
//! `SCAN` may return more than asked for, or nothing for a while. A page that has more is given out in parts: the cursor
//! then names the page and the last key given. Like `SCAN`, a key may come twice when keys change meanwhile; one that is
//! there all the time comes at least once, unless the server resizes its table between two parts of one page.

use provider_sdk::contracts::{
    CallError,
    keyvalue::{ListKeysRequest, ListKeysResponse},
};
use redis::aio::MultiplexedConnection;

use crate::fault::Fault;

/// Most keys of one page.
const LARGEST_PAGE: u32 = 1000;
/// Most empty pages of the server in one answer; an answer may be empty.
const MOST_SCANS: usize = 100;

/// One page of keys.
pub async fn page(
    connection: &mut MultiplexedConnection,
    prefix: &str,
    request: &ListKeysRequest,
) -> Result<ListKeysResponse, Fault> {
    let (mut scan, mut after) = position(request.cursor.as_deref())?;
    let limit = request.limit.min(LARGEST_PAGE) as usize;
    for _ in 0..MOST_SCANS {
        let mut command = redis::cmd("SCAN");
        command.arg(scan).arg("MATCH").arg(pattern(prefix)).arg("COUNT").arg(limit);
        let (next, found): (u64, Vec<Vec<u8>>) = command.query_async(connection).await?;
        let mut keys: Vec<String> = found
            .into_iter()
            .filter_map(|key| String::from_utf8(key).ok()?.strip_prefix(prefix).map(str::to_owned))
            .filter(|key| after.as_ref().is_none_or(|after| key > after))
            .collect();
        keys.sort();
        keys.dedup();
        if keys.len() > limit {
            keys.truncate(limit);
            let cursor = keys.last().map(|last| format!("{scan}:{last}"));
            return Ok(ListKeysResponse { keys, cursor });
        }
        let cursor = (next != 0).then(|| next.to_string());
        if !keys.is_empty() || cursor.is_none() {
            return Ok(ListKeysResponse { keys, cursor });
        }
        (scan, after) = (next, None);
    }
    Ok(ListKeysResponse { keys: Vec::new(), cursor: Some(scan.to_string()) })
}

/// The page of the server, and the key after which it goes on.
fn position(cursor: Option<&str>) -> Result<(u64, Option<String>), CallError> {
    let Some(cursor) = cursor else { return Ok((0, None)) };
    let (scan, after) = match cursor.split_once(':') {
        Some((scan, after)) => (scan, Some(after.to_owned())),
        None => (cursor, None),
    };
    let scan = scan.parse().map_err(|_| CallError::Malformed {
        what: "cursor".to_owned(),
        reason: "not one that this store has given".to_owned(),
    })?;
    Ok((scan, after))
}

/// A pattern for everything that begins like this.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for letter in prefix.chars() {
        if "*?[]^-\\".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('*');
    pattern
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_cursor_may_hold_any_key() {
        assert_eq!(position(None).unwrap(), (0, None));
        assert_eq!(position(Some("17")).unwrap(), (17, None));
        assert_eq!(position(Some("17:a:b")).unwrap(), (17, Some("a:b".to_owned())));
        for bad in ["", "x", "-1", ":a", "99999999999999999999999"] {
            assert_eq!(position(Some(bad)).unwrap_err().code(), "malformed", "{bad}");
        }
    }

    #[test]
    fn a_namespace_is_no_pattern() {
        assert_eq!(pattern("a*[b]:"), "a\\*\\[b\\]:*");
    }
}
