use std::{error::Error, fmt};

/// The words of an error and of its sources: what can be shared of an error that is not `Clone`.
pub(crate) struct Cause {
    message: String,
    source: Option<Box<Cause>>,
}

/// A chain is short; the bound only keeps a source that points at itself from going on for ever.
const LONGEST: usize = 16;

// ===== impl Cause =====

impl Cause {
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut messages = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next.filter(|_| messages.len() < LONGEST) {
            messages.push(error.to_string());
            next = error.source();
        }
        let chain = messages
            .into_iter()
            .rev()
            .fold(None, |source: Option<Self>, message| Some(Self { message, source: source.map(Box::new) }));
        chain.unwrap_or_else(|| Self { message: String::new(), source: None })
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.message, f)?;
        match &self.source {
            Some(source) => write!(f, ": {source:?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the call failed")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn the_whole_chain_is_kept() {
        let cause = Cause::of(&Outer(io::Error::other("the disk is full")));
        assert_eq!(cause.to_string(), "the call failed");
        let source = cause.source().unwrap();
        assert_eq!(source.to_string(), "the disk is full");
        assert!(source.source().is_none());
        assert_eq!(format!("{cause:?}"), r#""the call failed": "the disk is full""#);
    }

    #[derive(Debug)]
    struct Itself;

    impl fmt::Display for Itself {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("again")
        }
    }

    impl Error for Itself {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }

    #[test]
    fn a_source_that_points_at_itself_ends() {
        let cause = Cause::of(&Itself);
        let mut length = 0;
        let mut next: Option<&(dyn Error + 'static)> = Some(&cause);
        while let Some(error) = next {
            length += 1;
            next = error.source();
        }
        assert_eq!(length, LONGEST);
    }
}
