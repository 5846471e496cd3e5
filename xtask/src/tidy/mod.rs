//! `cargo xtask tidy`: the house rules as checks. The same checks are tests of this package.
//!
//! Each rule is a function from text to complaints, one file per subject; this file lists the
//! rules. A rule that cannot complain is no rule: each has a test that makes it.

mod checkout;
mod edges;
mod lock;
mod paperwork;
mod rooms;
mod sources;

use anyhow::{Result, bail};

use self::checkout::Checkout;
use crate::workspace;

/// A rule: its name, and what finds the complaints.
type Rule = (&'static str, fn(&Checkout) -> Vec<String>);

const RULES: &[Rule] = &[
    ("dependencies point one way", edges::complaints),
    ("rooms know what their table says, without circles", rooms::complaints),
    ("one TLS stack, one copy of what must be one", lock::complaints),
    ("every source file says what it owns", sources::without_opening),
    ("subjects are spelled in crates/lattice only", sources::with_subjects),
    ("no path of a machine, no address of a registry", sources::with_machine_paths),
    ("docs move together with the code they describe", paperwork::complaints),
];

/// What to look at.
#[derive(clap::Args)]
pub struct Args {
    /// Print the rooms of each crate in numbers, and its circles of imports, in place of the checks.
    #[arg(long)]
    rooms: bool,
}

/// Runs the command.
///
/// # Errors
/// When any rule is broken; every complaint is printed first.
pub fn run(args: &Args) -> Result<()> {
    let checkout = Checkout::read(workspace::root())?;
    if args.rooms {
        print!("{}", rooms::report(&checkout));
        return Ok(());
    }
    let mut broken = 0;
    for (name, rule) in RULES {
        let complaints = rule(&checkout);
        println!("{} {name}", if complaints.is_empty() { "ok    " } else { "BROKEN" });
        complaints.iter().for_each(|complaint| println!("         {complaint}"));
        broken += complaints.len();
    }
    if broken > 0 {
        bail!("{broken} complaints");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_checkout_is_tidy() {
        let checkout = Checkout::read(workspace::root()).expect("the checkout");
        assert!(checkout.sources().count() > 10, "the checkout was not read");
        let complaints: Vec<String> = RULES.iter().flat_map(|(_, rule)| rule(&checkout)).collect();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
}
