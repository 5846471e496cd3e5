//! The two capabilities every module has without a link or a claim: logging and random numbers (protocol section 5.3).
//!
//! Answered right here, nothing leaves the process. Invariant: arguments are decoded with the bounded codec.

use bytes::Bytes;
use contracts::{CallError, codec};
use serde::Deserialize;

use crate::{actor::logs::Level, call::CallState};

const LOGGING: &str = "wasmcloud:builtin:logging";
const NUMBERGEN: &str = "wasmcloud:builtin:numbergen";

/// Argument of `Logging.WriteLog`.
#[derive(Deserialize)]
struct LogEntry {
    level: String,
    text: String,
}

/// Argument of `NumberGen.RandomInRange`; both ends belong to the range.
#[derive(Deserialize)]
struct RangeLimit {
    min: u32,
    max: u32,
}

/// The answer, or none when `namespace` is not built in.
pub(super) fn handle(
    call: &mut CallState,
    namespace: &str,
    operation: &str,
    payload: &[u8],
) -> Option<Result<Bytes, CallError>> {
    let result = match namespace {
        LOGGING => log(call, operation, payload),
        NUMBERGEN => number(operation, payload),
        _ => return None,
    };
    Some(result.map(Bytes::from))
}

fn log(call: &mut CallState, operation: &str, payload: &[u8]) -> Result<Vec<u8>, CallError> {
    if operation != "Logging.WriteLog" {
        return Err(unsupported(LOGGING, operation));
    }
    let entry: LogEntry = codec::decode("log entry", payload)?;
    let Some(level) = Level::parse(&entry.level) else {
        let reason =
            format!("unknown level `{:.32}`, expected trace, debug, info, warn, error or critical", entry.level);
        return Err(CallError::Malformed { what: "log entry".to_owned(), reason });
    };
    call.logs().line(level, "", &entry.text);
    Ok(Vec::new())
}

fn number(operation: &str, payload: &[u8]) -> Result<Vec<u8>, CallError> {
    match operation {
        "NumberGen.GenerateGuid" => codec::encode(&uuid::Uuid::new_v4().hyphenated().to_string()),
        "NumberGen.Random32" => codec::encode(&random()?),
        "NumberGen.RandomInRange" => {
            let range: RangeLimit = codec::decode("range", payload)?;
            codec::encode(&in_range(range.min, range.max)?)
        }
        _ => Err(unsupported(NUMBERGEN, operation)),
    }
}

fn in_range(min: u32, max: u32) -> Result<u32, CallError> {
    let Some(span) = max.checked_sub(min) else {
        let reason = format!("min {min} is above max {max}");
        return Err(CallError::Malformed { what: "range".to_owned(), reason });
    };
    let Some(count) = span.checked_add(1) else { return random() };
    // Values from the incomplete last stretch would make the small results likelier.
    let usable = u32::MAX - (u32::MAX % count + 1) % count;
    loop {
        let value = random()?;
        if value <= usable {
            return Ok(min + value % count);
        }
    }
}

fn random() -> Result<u32, CallError> {
    getrandom::u32().map_err(|error| CallError::HostFault { message: format!("no random numbers: {error}") })
}

fn unsupported(target: &str, operation: &str) -> CallError {
    CallError::Unsupported { target: target.to_owned(), operation: operation.to_owned() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn both_ends_of_a_range_are_drawn_and_nothing_else() {
        let mut seen = [0; 3];
        for _ in 0..1000 {
            seen[in_range(7, 9).unwrap() as usize - 7] += 1;
        }
        assert!(seen.iter().all(|count| *count > 200), "{seen:?}");
        assert_eq!(in_range(5, 5).unwrap(), 5);
        in_range(0, u32::MAX).unwrap();
    }

    #[test]
    fn a_range_the_wrong_way_round_is_malformed() {
        assert_eq!(in_range(2, 1).unwrap_err().code(), "malformed");
    }

    #[test]
    fn a_guid_is_a_lower_case_version_4() {
        let guid: String = codec::decode("guid", &number("NumberGen.GenerateGuid", &[]).unwrap()).unwrap();
        assert_eq!(guid.len(), 36);
        assert_eq!(guid.to_lowercase(), guid);
        assert_eq!(guid.as_bytes()[14], b'4');
    }

    #[test]
    fn an_unknown_operation_is_named() {
        assert_eq!(number("NumberGen.Dice", &[]).unwrap_err(), unsupported(NUMBERGEN, "NumberGen.Dice"));
    }
}
