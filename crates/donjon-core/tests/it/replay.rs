use std::sync::Arc;

use donjon_core::Replay;

#[test]
fn plain_values_are_sent_again() {
    assert_eq!(7_u64.replay(), Some(7));
    assert_eq!("words".replay(), Some("words"));
    assert_eq!(String::from("words").replay().as_deref(), Some("words"));
    assert_eq!(().replay(), Some(()));
}

#[test]
fn what_is_shared_is_shared_again() {
    struct NotClone;
    let request = Arc::new(NotClone);
    let again = request.replay().expect("an Arc can");
    assert!(Arc::ptr_eq(&request, &again));
}

#[test]
fn a_request_may_say_no() {
    struct Once;
    impl Replay for Once {
        fn replay(&self) -> Option<Self> {
            None
        }
    }
    assert!(Once.replay().is_none());
}
