//! A hundred calls, ten at a time, as they complete; one failure ends nothing.

use donjon::{BoxError, Call, FanOutExt, client};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:3000".into());
    println!("{} of 100 succeeded", process(&url, 100).await?);
    Ok(())
}

async fn process(url: &str, items: u32) -> Result<u32, BoxError> {
    let api = client::standard(url)?;
    // A POST is sent again only if the server cannot have acted on it, or if we say that twice is as good as once.
    let call = |item| Call::<Value>::post("/process").json(&json!({ "item": item })).idempotent(true);
    let mut replies = api.fan_out((0..items).map(|item| (item, call(item)))).at_once(10).as_completed();
    let mut succeeded = 0;
    while let Some((item, reply)) = replies.next().await {
        match reply {
            Ok(reply) => {
                succeeded += 1;
                println!("{item}: {reply}");
            }
            Err(error) => eprintln!("{item}: {error}"),
        }
    }
    Ok(succeeded)
}

#[cfg(test)]
mod tests;
