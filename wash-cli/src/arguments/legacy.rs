//! Command lines of older wash versions, turned into today's (protocol section 9.7).
//!
//! Works on words only: it knows which options take a value and how many positionals a command has, and nothing of what
//! they mean. Invariant: a command line in today's form passes through unchanged, except that a leading `ctl` is dropped.

use std::ffi::OsString;

/// Options without a value; every other option that is not written as `--name=value` takes the next word.
const SWITCHES: &[&str] =
    &["-v", "--verbose", "--experimental", "--skip-wait", "--delete", "-h", "--help", "-V", "--version"];

/// Rewrites a whole command line, program name first.
pub fn modernize(args: Vec<OsString>) -> Vec<OsString> {
    let Some(words) = args.iter().map(|word| word.to_str().map(str::to_owned)).collect::<Option<Vec<_>>>() else {
        return args; // not text, so not one of the forms below; clap reports what is wrong with it
    };
    let mut words = words;
    let positionals = positions(&words);
    if let Some(&first) = positionals.first()
        && words[first] == "ctl"
    {
        words.remove(first);
    }
    reorder(&words).unwrap_or(words).into_iter().map(OsString::from).collect()
}

/// Where the positional words are, the program name not counted.
fn positions(words: &[String]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut index = 1;
    while index < words.len() {
        let word = words[index].as_str();
        if word == "--" {
            found.extend(index + 1..words.len());
            break;
        }
        if !word.starts_with('-') || word == "-" {
            found.push(index);
        } else if !SWITCHES.contains(&word) && !word.contains('=') && !glued_short(word) {
            index += 1;
        }
        index += 1;
    }
    found
}

/// `-ojson`: a short option with its value in the same word.
fn glued_short(word: &str) -> bool {
    !word.starts_with("--") && word.len() > 2
}

/// The old positional forms, recognised by the number of positionals and by the letter of the host's key.
fn reorder(words: &[String]) -> Option<Vec<String>> {
    let at = positions(words);
    let word = |n: usize| at.get(n).map(|&index| words[index].as_str());
    let looks_like_host = |text: &str| text.len() == 56 && text.starts_with('N');
    // (positions of today's positionals in order, position that becomes `--host-id`)
    let (order, host): (&[usize], Option<usize>) = match (word(0)?, word(1)?, at.len()) {
        ("stop", "actor", 4) => (&[3], Some(2)),
        ("stop", "provider", 6) => (&[3, 5, 4], Some(2)),
        ("stop", "provider", 5) if looks_like_host(word(2)?) => (&[3, 4], Some(2)),
        ("scale", "actor", 5) => (&[2, 4], None),
        ("update", "actor", 5) => (&[3, 4], Some(2)),
        _ => return None,
    };
    let mut rewritten: Vec<String> =
        words.iter().enumerate().filter(|(index, _)| !at[2..].contains(index)).map(|(_, word)| word.clone()).collect();
    // The options left behind keep their order; today's positionals follow them.
    if let Some(host) = host {
        rewritten.extend(["--host-id".to_owned(), words[at[host]].clone()]);
    }
    rewritten.extend(order.iter().map(|&n| words[at[n]].clone()));
    Some(rewritten)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "NAWASHVALZUZPZNXPIF6HGQ4OMJYLXQ4B2WZZ5AMBCXKWEQPYXDOIWMA";

    fn modern(line: &str) -> String {
        let words = line.replace("HOST", HOST).split(' ').map(OsString::from).collect();
        let words = modernize(words).into_iter().map(|word| word.into_string().expect("text in, text out"));
        words.collect::<Vec<_>>().join(" ").replace(HOST, "HOST")
    }

    #[test]
    fn ctl_is_dropped_where_a_command_is_expected_and_nowhere_else() {
        assert_eq!(modern("wash ctl get hosts"), "wash get hosts");
        assert_eq!(modern("wash -o json ctl get hosts"), "wash -o json get hosts");
        assert_eq!(modern("wash -v --output=json ctl link query"), "wash -v --output=json link query");
        assert_eq!(modern("wash get inventory ctl"), "wash get inventory ctl");
        assert_eq!(modern("wash keys get ctl"), "wash keys get ctl");
    }

    #[test]
    fn todays_forms_pass_unchanged() {
        for line in [
            "wash stop actor MABC --host-id HOST --skip-wait",
            "wash stop provider VABC wasmcloud:httpserver default -x lab",
            "wash scale actor HOST file:///a.wasm -c 5 -a k=v",
            "wash update actor MABC file:///b.wasm --host-id HOST",
            "wash link put MABC VABC wasmcloud:httpserver address=0.0.0.0:8080 a=b",
            "wash",
        ] {
            assert_eq!(modern(line), line);
        }
    }

    #[test]
    fn old_positionals_become_todays() {
        assert_eq!(modern("wash ctl stop actor HOST MABC --count 2"), "wash stop actor --count 2 --host-id HOST MABC");
        assert_eq!(
            modern("wash ctl stop provider HOST VABC default wasmcloud:keyvalue"),
            "wash stop provider --host-id HOST VABC wasmcloud:keyvalue default"
        );
        assert_eq!(modern("wash ctl scale actor HOST MABC ref -c 3"), "wash scale actor -c 3 HOST ref");
        assert_eq!(modern("wash ctl update actor HOST MABC ref"), "wash update actor --host-id HOST MABC ref");
    }
}
