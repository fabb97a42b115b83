use std::{error::Error, fmt, io};

use donjon_core::{BoxError, CallError, Reject, Rejection, RejectionKind};

/// An error around another one.
#[derive(Debug)]
struct Around<E>(E);

impl<E> fmt::Display for Around<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something around it")
    }
}

impl<E: Error + 'static> Error for Around<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// An error that is its own source.
#[derive(Debug)]
struct Looped;

impl fmt::Display for Looped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("looped")
    }
}

impl Error for Looped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

#[test]
fn any_error_a_box_or_a_string_becomes_one() {
    fn by_question_mark() -> Result<(), CallError> {
        Err(io::Error::other("disk full"))?
    }
    assert_eq!(by_question_mark().unwrap_err().to_string(), "disk full");
    assert_eq!(CallError::new("just words").to_string(), "just words");
    let boxed: BoxError = "boxed words".into();
    assert_eq!(CallError::new(boxed).to_string(), "boxed words");
}

#[test]
fn a_box_is_not_boxed_again() {
    let boxed: BoxError = Box::new(io::Error::other("disk full"));
    let error = CallError::new(boxed);
    assert!(error.downcast_ref::<io::Error>().is_some());
    let back: BoxError = error.into();
    assert!(back.downcast_ref::<io::Error>().is_some());
    assert!(CallError::new(CallError::new(back)).into_inner().is::<io::Error>());
}

#[test]
fn a_refusal_is_found_anywhere_in_the_chain() {
    let refusal = Rejection::new(RejectionKind::RateLimited, "test");
    assert!(CallError::from_rejection(refusal.clone()).as_rejection().is_some());
    let deep = CallError::from(Around(Around(refusal)));
    assert_eq!(deep.as_rejection().expect("it is there").kind(), RejectionKind::RateLimited);
    assert!(deep.find::<Around<Around<Rejection>>>().is_some(), "the outermost one counts too");
    assert!(deep.downcast_ref::<Rejection>().is_none(), "the outermost one alone");
    assert!(deep.find::<io::Error>().is_none());
    assert!(CallError::new("words").as_rejection().is_none());
}

#[test]
fn a_chain_that_loops_ends() {
    let error = CallError::from(Looped);
    assert!(error.as_rejection().is_none());
    assert!(error.find::<Looped>().is_some());
    assert!(CallError::from(Around(Looped)).as_rejection().is_none());
}

#[test]
fn a_refusal_is_found_inside_of_an_io_error_which_hides_it_from_its_source() {
    let refusal = Rejection::new(RejectionKind::Overloaded, "a layer");
    let error = CallError::from(Around(io::Error::other(refusal)));
    assert_eq!(error.as_rejection().map(Rejection::kind), Some(RejectionKind::Overloaded));
}

#[test]
fn it_shows_what_is_inside() {
    let error = CallError::from(Around(io::Error::other("disk full")));
    assert_eq!(error.to_string(), "something around it", "the source is not repeated");
    assert!(format!("{error:?}").contains("disk full"));
    assert_eq!(error.as_error().source().expect("it has one").to_string(), "disk full");
}
