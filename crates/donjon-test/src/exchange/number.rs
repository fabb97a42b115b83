use super::{Accept, Exchange, LocalMessage, Message, Read};

/// Requests and responses that are a `u64`: for layers that know nothing of HTTP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Number;

/// The answer to the number `n` is `ANSWER ^ n`.
const ANSWER: u64 = 0xA115_3E00_0000_0000;
/// No call has a number as high as this.
const CALLS: u64 = 1 << 32;

// ===== impl Number =====

impl Exchange for Number {
    type Request = u64;
    type Response = u64;

    fn request(&self, id: u64) -> u64 {
        id
    }

    fn answer(&self, id: u64) -> u64 {
        ANSWER ^ id
    }
}

impl Accept<u64> for Number {
    fn accept(&self, request: u64) -> Message {
        Message::whole((request < CALLS).then_some(request), ())
    }
}

impl Read<u64> for Number {
    fn read(&self, response: u64) -> LocalMessage {
        let id = response ^ ANSWER;
        LocalMessage::whole((id < CALLS).then_some(id), ())
    }
}
