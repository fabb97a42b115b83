use std::collections::HashMap;

use donjon_store::Store;

fn cache_in<S: Store<String, u64>>(_: S) {}

fn main() {
    cache_in(HashMap::<String, u64>::new());
}
