//! What is fuzzed: one function per parser of bytes that strangers wrote.
