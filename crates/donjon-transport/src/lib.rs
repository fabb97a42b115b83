//! The ends of donjon's client stacks: a pooled hyper-util client with rustls.
