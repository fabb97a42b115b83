use std::time::{Duration, SystemTime};

use donjon_http::retry_after::{self, parse};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

fn headers(values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append("retry-after", value.parse().unwrap());
    }
    headers
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn seconds_are_read() {
    assert_eq!(parse(&headers(&["0"]), at(0)), Some(Duration::ZERO));
    assert_eq!(parse(&headers(&[" 120 "]), at(0)), Some(120 * SECOND));
    assert_eq!(parse(&headers(&["007"]), at(0)), Some(7 * SECOND));
    assert_eq!(parse(&headers(&["99999999999999999999999999"]), at(0)), Some(retry_after::MAX));
}

#[test]
fn the_three_forms_of_a_date_are_read() {
    for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
        assert_eq!(parse(&headers(&[date]), at(784_111_777 - 30)), Some(30 * SECOND), "{date}");
        assert_eq!(parse(&headers(&[date]), at(784_111_777 + 30)), Some(Duration::ZERO), "{date} is past");
    }
}

#[test]
fn a_part_of_a_second_counts_as_a_whole_one() {
    let now = at(784_111_777) - Duration::from_millis(1);
    assert_eq!(parse(&headers(&["Sun, 06 Nov 1994 08:49:37 GMT"]), now), Some(SECOND));
}

#[test]
fn what_is_neither_form_is_not_there() {
    for value in ["", "-1", "+1", "1.5", "1 s", "soon", "1e3", "٣", "Sun, 99 Nov 1994 08:49:37 GMT"] {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, value.clone())]);
        assert_eq!(parse(&headers, at(0)), None, "{value:?}");
    }
    assert_eq!(parse(&HeaderMap::new(), at(0)), None);
}

#[test]
fn the_longest_of_several_holds() {
    assert_eq!(parse(&headers(&["3", "10", "garbage", "5"]), at(0)), Some(10 * SECOND));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), now in 0..1u64 << 40) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, value)]);
            prop_assert!(parse(&headers, at(now)).is_none_or(|wait| wait <= retry_after::MAX));
        }
    }

    #[test]
    fn what_is_written_is_read_and_never_less(millis in 0..4_000_000_000u64) {
        let wait = Duration::from_millis(millis);
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, retry_after::format(wait))]);
        let read = parse(&headers, at(0)).unwrap();
        prop_assert!(wait <= read && read < wait + SECOND);
    }

    #[test]
    fn a_date_is_never_reached_early(seconds in 0..253_402_300_799u64, early in 0..10_000_000u64) {
        let date = at(seconds);
        let now = date.checked_sub(Duration::from_millis(early)).unwrap();
        let value = httpdate::fmt_http_date(date).parse().unwrap();
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, value)]);
        let wait = parse(&headers, now).unwrap();
        prop_assert!(now + wait >= date && now + wait < date + SECOND);
    }
}
