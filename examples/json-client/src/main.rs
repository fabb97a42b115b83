//! Typed GET and POST of JSON, with deadline, retries, limit and pool underneath.
//!
//! `cargo run -p json-client -- http://127.0.0.1:3000` asks that server for user 42 and makes another one.

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct User {
    name: String,
}

/// What this API says of a user that it does not take: the body of its 422.
#[derive(Debug, serde::Deserialize)]
struct Invalid {
    field: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let api = donjon::client::standard(std::env::args().nth(1).ok_or("usage: json-client http://host:port")?)?;
    let user: User = api.get("/users/{id}").path("id", 42).send().await?;
    println!("got {user:?}");
    match api.post("/users").json(&User { name: "Bob".to_owned() }).send::<User>().await {
        Err(error) if error.status().is_some_and(|it| it == 422) => {
            println!("not valid: {}", error.json::<Invalid>()?.field)
        }
        made => println!("made {:?}", made?),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
