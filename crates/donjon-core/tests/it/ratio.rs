use donjon_core::{OutOfRange, Ratio};
use proptest::prelude::*;

#[test]
fn a_share_is_from_none_to_all() {
    assert_eq!(Ratio::new(0.0), Ok(Ratio::ZERO));
    assert_eq!(Ratio::new(-0.0), Ok(Ratio::ZERO));
    assert_eq!(Ratio::new(1.0), Ok(Ratio::ONE));
    assert_eq!(Ratio::new(0.3).map(Ratio::millionths), Ok(300_000));
    assert_eq!(Ratio::new(f64::MIN_POSITIVE), Ok(Ratio::ZERO));
    assert_eq!(Ratio::new(1.0 - f64::EPSILON), Ok(Ratio::ONE));
}

#[test]
fn what_means_nothing_is_refused_with_its_value() {
    for (value, shown) in [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (-0.1, "-0.1"),
        (1.0 + f64::EPSILON, "1.0000000000000002"),
        (1e300, "1"),
    ] {
        let error = Ratio::new(value).expect_err("out of range");
        assert_eq!(error.name(), "ratio");
        assert!(error.to_string().starts_with(&format!("ratio is {shown}")), "{error}");
        assert!(error.to_string().ends_with(", and must be from 0 to 1"), "{error}");
    }
}

#[test]
fn it_shows_as_a_number() {
    let ratio = Ratio::new(0.25).unwrap();
    assert_eq!((format!("{ratio}"), format!("{ratio:?}")), ("0.25".into(), "0.25".into()));
    assert_eq!(OutOfRange::new("limit", 9, "at most 3").to_string(), "limit is 9, and must be at most 3");
}

proptest! {
    #[test]
    fn a_share_is_kept_to_the_millionth(value in 0.0..=1.0_f64) {
        let ratio = Ratio::new(value).unwrap();
        prop_assert!((ratio.as_f64() - value).abs() <= 0.5e-6 + f64::EPSILON);
        prop_assert_eq!(Ratio::new(ratio.as_f64()), Ok(ratio));
    }

    #[test]
    fn the_order_is_that_of_the_numbers(a in 0.0..=1.0_f64, b in 0.0..=1.0_f64) {
        prop_assume!((a - b).abs() > 1e-6);
        prop_assert_eq!(Ratio::new(a).unwrap() < Ratio::new(b).unwrap(), a < b);
    }
}
