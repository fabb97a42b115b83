//! Many JSON calls to an unreliable upstream, the naive way and through the stack.

fn main() {}
