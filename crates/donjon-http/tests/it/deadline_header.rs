use std::time::Duration;

use donjon_http::deadline_header::{
    GRPC_TIMEOUT, REQUEST_TIMEOUT_MS, format_grpc_timeout, format_timeout_ms, parse_grpc_timeout, parse_timeout_ms,
    read, read_valid, write_grpc_timeout, write_timeout_ms,
};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

fn grpc(text: &str) -> Option<Duration> {
    parse_grpc_timeout(text.as_bytes())
}

#[test]
fn each_unit_of_grpc_is_read() {
    assert_eq!(grpc("1H"), Some(Duration::from_secs(3600)));
    assert_eq!(grpc("2M"), Some(Duration::from_secs(120)));
    assert_eq!(grpc("3S"), Some(Duration::from_secs(3)));
    assert_eq!(grpc("4m"), Some(Duration::from_millis(4)));
    assert_eq!(grpc("5u"), Some(Duration::from_micros(5)));
    assert_eq!(grpc("6n"), Some(Duration::from_nanos(6)));
    assert_eq!(grpc("0n"), Some(Duration::ZERO));
    assert_eq!(grpc("00000001S"), Some(Duration::from_secs(1)));
    assert_eq!(grpc("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
}

#[test]
fn anything_else_is_refused() {
    for text in ["", "1", "S", "1s", "1h", " 1S", "1S ", "+1S", "-1S", "1.5S", "123456789S", "1SS", "٣S", "1 S", "0x1S"]
    {
        assert_eq!(grpc(text), None, "{text:?}");
    }
    for text in ["", " 1", "1 ", "+1", "-1", "1.5", "1ms", "0x1", "99999999999999999999"] {
        assert_eq!(parse_timeout_ms(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn the_finest_unit_that_fits_is_written_and_rounded_down() {
    let written = |remaining| format_grpc_timeout(remaining).to_str().unwrap().to_owned();
    assert_eq!(written(Duration::ZERO), "0n");
    assert_eq!(written(Duration::from_nanos(99_999_999)), "99999999n");
    assert_eq!(written(Duration::from_nanos(100_000_999)), "100000u");
    assert_eq!(written(Duration::from_millis(1500)), "1500000u");
    assert_eq!(written(Duration::from_secs(100)), "100000m");
    assert_eq!(written(Duration::from_secs(100_000)), "100000S");
    assert_eq!(written(Duration::from_secs(6_000_000_059)), "1666666H");
    assert_eq!(written(Duration::MAX), "99999999H");
    assert_eq!(format_timeout_ms(Duration::from_micros(1999)), "1");
    assert_eq!(format_timeout_ms(Duration::MAX), u64::MAX.to_string());
}

#[test]
fn the_earlier_of_the_fields_holds_and_garbage_is_an_error() {
    let mut headers = HeaderMap::new();
    assert_eq!(read(&headers), Ok(None));
    write_timeout_ms(&mut headers, Duration::from_secs(3));
    write_grpc_timeout(&mut headers, Duration::from_secs(2));
    assert_eq!(read(&headers), Ok(Some(Duration::from_secs(2))));
    headers.append(REQUEST_TIMEOUT_MS, HeaderValue::from_static("1000"));
    assert_eq!(read(&headers), Ok(Some(Duration::from_secs(1))), "of several lines too");
    write_timeout_ms(&mut headers, Duration::from_secs(9));
    assert_eq!(headers.get_all(REQUEST_TIMEOUT_MS).iter().count(), 1);

    headers.insert(GRPC_TIMEOUT, HeaderValue::from_static("soon"));
    let error = read(&headers).unwrap_err();
    assert_eq!(read_valid(&headers), Some(Duration::from_secs(9)), "where it is not, the other one holds");
    assert_eq!(error.field(), GRPC_TIMEOUT);
    assert_eq!(error.to_string(), "the field grpc-timeout does not say a timeout");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_remains_never_grows(nanos in prop_oneof![any::<u64>(), 0..10_000_000_000u64], secs in 0..1u64 << 50) {
        for remaining in [Duration::from_nanos(nanos), Duration::from_secs(secs)] {
            let read = parse_grpc_timeout(format_grpc_timeout(remaining).as_bytes()).unwrap();
            prop_assert!(read <= remaining);
            // A 100,000th part at most is lost, or what is beyond the longest that can be said.
            let capped = remaining.min(Duration::from_secs(99_999_999 * 3600));
            prop_assert!(capped - read <= capped / 100_000 + Duration::from_nanos(1));
            let read = parse_timeout_ms(format_timeout_ms(remaining).as_bytes()).unwrap();
            prop_assert!(read <= remaining && remaining - read < Duration::from_millis(1));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..16), digits in "[0-9]{0,12}[HMSmunx]?") {
        for bytes in [&bytes[..], digits.as_bytes()] {
            if let Some(timeout) = parse_grpc_timeout(bytes) {
                prop_assert!(bytes.len() <= 9 && timeout <= Duration::from_secs(99_999_999 * 3600));
            }
            let _ = parse_timeout_ms(bytes);
            if let Ok(value) = HeaderValue::from_bytes(bytes) {
                let headers = HeaderMap::from_iter([(GRPC_TIMEOUT, value.clone()), (REQUEST_TIMEOUT_MS, value)]);
                let _ = read(&headers);
            }
        }
    }
}
