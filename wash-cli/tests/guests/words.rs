//! Counts words of standard input into a map, and prints them with its arguments.
//!! args: a b
//!! options: --env LIMIT=2
//!! stdin: to be or not to be\nthat is\n
//!! stdout: ["a", "b"] be=2 to=2\n
use std::{collections::HashMap, env, io};

fn main() {
    let limit: usize = env::var("LIMIT").unwrap().parse().unwrap();
    let mut words: HashMap<String, u32> = HashMap::new();
    for line in io::stdin().lines() {
        for word in line.unwrap().split_whitespace() {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
    let mut words: Vec<_> = words.into_iter().collect();
    words.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
    let words: Vec<_> = words.iter().take(limit).map(|(word, count)| format!("{word}={count}")).collect();
    println!("{:?} {}", env::args().skip(1).collect::<Vec<_>>(), words.join(" "));
}
