use std::fmt;

macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $check:ident = $name:literal: $law:literal;)+) => {
        /// One named check of the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Check {
            $($(#[doc = $doc])+ $check,)+
        }

        impl Check {
            /// All of them, in the order in which they run.
            #[must_use]
            pub const fn all() -> &'static [Self] {
                &[$(Self::$check),+]
            }

            /// A short stable name, in kebab case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$check => $name),+ }
            }

            /// The law that it tests, as one sentence.
            #[must_use]
            pub const fn law(self) -> &'static str {
                match self { $(Self::$check => $law),+ }
            }
        }
    };
}

checks! {
    /// A call that meets a service which is ready and answers at once reaches it once and is answered.
    PassesThrough = "passes-through":
        "A call to a service that is ready and answers at once reaches it exactly once, and is answered.";
    /// The request that arrives inside is the one that was sent.
    RequestUnchanged = "request-unchanged":
        "A layer changes no request.";
    /// The response that arrives outside is the one that was made.
    ResponseUnchanged = "response-unchanged":
        "A layer changes no response.";
    /// The error that arrives outside is the one that was made, of a call and of readiness.
    ErrorUnchanged = "error-unchanged":
        "A layer hands on the inner service's errors as they are, those of its readiness included.";
    /// No instance is called that was not ready.
    SameInstance = "same-instance":
        "The instance that was readied is the instance that is called, and a clone is readied before it is called.";
    /// Services and clones that are ready and never called take nothing from the others.
    IdleHoldsNothing = "idle-holds-nothing":
        "Admission happens in `call`: a service that is ready and never called holds nothing.";
    /// A call that is refused or waits leaves no reservation in the inner service.
    RefusalGivesBack = "refusal-gives-back":
        "A `call` that does not use the readied instance drops it, so that what the inner service reserved is free.";
    /// Clones of a service have one state.
    ClonesShare = "clones-share":
        "Clones of a service share one state.";
    /// Services that one layer value has made have one state.
    ApplicationsShare = "applications-share":
        "State lives in the layer value: all services that it has made share it.";
    /// A dropped call gives everything back, wherever it was dropped.
    DropGivesBack = "drop-gives-back":
        "Dropping a future at any point gives everything back.";
    /// A dropped call lets those go on who waited for what it held.
    DropWakes = "drop-wakes":
        "Dropping a future wakes whoever waits for what it held.";
    /// A dropped call does no harm to others, though they have sent the same request.
    DropFailsNobody = "drop-fails-nobody":
        "Dropping one call never fails another, nor makes it wait for ever.";
    /// A panic in the inner `call` gives everything back.
    PanicInCallGivesBack = "panic-in-call-gives-back":
        "A panic in the inner `call` is a drop.";
    /// A panic in the inner future gives everything back.
    PanicInFutureGivesBack = "panic-in-future-gives-back":
        "A panic in the inner future is a drop.";
    /// A call that has ended gives everything back, even if its future and its response stay alive.
    CompletionGivesBack = "completion-gives-back":
        "A guard is given back when the call completes, even if the finished future stays alive.";
    /// An error of readiness in the middle of a call gives everything back.
    ReadinessErrorGivesBack = "readiness-error-gives-back":
        "A call that ends with an error of readiness gives everything back when it ends.";
    /// A call that is pending goes on when what it waits for comes, whoever polled it last.
    PendingRegistersWaker = "pending-registers-waker":
        "`Pending` means that the waker of the last poll is registered.";
    /// While the inner service does nothing, nobody is polled on and on.
    PollsBounded = "polls-bounded":
        "The number of polls is bounded by the number of wakes: no spinning, no polling intervals.";
    /// A call that is answered at once makes no timer.
    NoTimerWhenReady = "no-timer-when-ready":
        "No timer is made unless the inner call is pending.";
    /// Nothing goes on when the service and its futures are gone.
    NothingSpawned = "nothing-spawned":
        "Nothing is spawned behind the caller's back.";
    /// Over a service that takes a place in `poll_ready` and has few, every call ends.
    ProgressOverReservations = "progress-over-reservations":
        "Over an inner service that reserves in `poll_ready`, no call waits for what another one holds for nothing.";
    /// No inner call starts after the ambient deadline by a layer that waited, and none waits beyond it.
    DeadlineRespected = "deadline-respected":
        "Whoever waits or sends again reads the ambient deadline: no work starts after it, and no wait outlasts it.";
    /// The inner service is called in the scope of its caller.
    ScopeReachesInner = "scope-reaches-inner":
        "The inner call runs in the caller's scope: its criticality is the same, its deadline at most shorter.";
    /// `Fresh::fresh` makes a layer with a state of its own. Only where the layer is known to be `Fresh`.
    FreshStartsAnew = "fresh-starts-anew":
        "`fresh` makes a layer with the same settings and a state of its own.";
    /// `Fresh::bypass` makes a layer that lets everything through. Only where the layer is known to be `Fresh`.
    BypassLetsThrough = "bypass-lets-through":
        "`bypass` makes a layer that lets everything through and holds nothing.";
    /// The central one: after any script of calls, drops, panics and idle clones, the layer is as new.
    AnyScript = "any-script":
        "After any script of calls, drops, panics and clones left idle, the layer admits exactly what a new one does.";
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
