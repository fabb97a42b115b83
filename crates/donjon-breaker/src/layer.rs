use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use donjon_core::{ClassifyRejection, Fresh, Ratio};
use tower_layer::Layer;

use crate::{
    Breaker, Handle, OnCancel, Throttle, Trip,
    circuit::Circuit,
    settings::Settings,
    shares::{Config, Shares},
    tally::Tally,
    word::Kind,
};

/// Stops calling a service that fails: the recipe. See the [crate's documentation](crate) for an example.
///
/// Its clones, and every service that it has made, share one circuit. The setters change the value that they return, and
/// no clone that was taken before.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct BreakerLayer<C = ClassifyRejection> {
    circuit: Arc<Circuit>,
    recipe: Recipe,
    classify: C,
    on_cancel: OnCancel,
    backpressure: bool,
    bypass: bool,
    /// Made by the first application, so that the others allocate nothing.
    shares: OnceLock<Arc<Shares<C>>>,
}

/// What a circuit is made by.
#[derive(Clone, Copy, Debug)]
struct Recipe {
    policy: Policy,
    settings: Settings,
    seed: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Policy {
    Trip(Trip),
    Throttle(Throttle),
}

// ===== impl BreakerLayer =====

impl BreakerLayer {
    /// A breaker that opens by [`Trip::score`], for 5 s at first and 20 s at most, and closes when three probes have
    /// succeeded.
    ///
    /// Of any request and response: an error is a failure, unless it is a refusal
    /// ([`ClassifyRejection`]). [`classify`](Self::classify) says otherwise.
    pub fn new() -> Self {
        Self::of(Policy::Trip(Trip::score()), ClassifyRejection)
    }

    /// No circuit that opens, but a share of the calls that is refused: see [`Throttle`].
    ///
    /// The operator's handle works as ever; the settings of opening and of probes mean nothing here.
    pub fn throttling(throttle: Throttle) -> Self {
        Self::of(Policy::Throttle(throttle), ClassifyRejection)
    }
}

#[cfg(feature = "http")]
impl BreakerLayer<donjon_http::HttpClassify> {
    /// For HTTP: responses are classified by their status, and errors by what they are
    /// ([`HttpClassify`](donjon_http::HttpClassify)); otherwise as [`new`](BreakerLayer::new).
    ///
    /// Failures are 408, 425, 429, 5xx and transport errors. The outcome is decided when the head of the response is
    /// there: for a body that breaks off to count, put a `CollectLayer` of `donjon-http` inside.
    pub fn http() -> Self {
        BreakerLayer::new().classify(donjon_http::HttpClassify::new())
    }
}

impl<C> BreakerLayer<C> {
    fn of(policy: Policy, classify: C) -> Self {
        let recipe = Recipe { policy, settings: Settings::new(), seed: None };
        Self {
            circuit: Arc::new(recipe.circuit()),
            recipe,
            classify,
            on_cancel: OnCancel::Ignore,
            backpressure: false,
            bypass: false,
            shares: OnceLock::new(),
        }
    }

    /// When it opens. Default: [`Trip::score`]. Takes the place of [`throttling`](BreakerLayer::throttling).
    pub fn trip(self, trip: Trip) -> Self {
        self.with(|recipe| recipe.policy = Policy::Trip(trip))
    }

    /// How long it is open at first. Default 5 s; 0 lets the next call probe.
    ///
    /// Each opening that follows a failed probe lasts twice as long as the one before, up to
    /// [`max_open`](Self::max_open); so does one that comes sooner after a recovery than the opening before had lasted.
    pub fn open_for(self, time: Duration) -> Self {
        self.with(|recipe| recipe.settings.open_for = time)
    }

    /// The longest opening, jitter and `Retry-After` aside. Default 20 s; less than the first opening is taken for that.
    pub fn max_open(self, time: Duration) -> Self {
        self.with(|recipe| recipe.settings.max_open = time)
    }

    /// An opening lasts longer by a random share up to this one, so that many clients do not come back together.
    /// Default 0.2.
    pub fn jitter(self, share: Ratio) -> Self {
        self.with(|recipe| recipe.settings.jitter = share)
    }

    /// If failures that open it say `Retry-After`, it stays open at least until the furthest of these times, but not longer
    /// than this for its sake. Default 10 minutes; 0 takes no hints.
    ///
    /// Those of a closed circuit count since its failures last began to count: at a score of 0, or with the first one in a
    /// window. A call that ends when the circuit has opened extends that opening: one that was let in by the closed circuit,
    /// or as a probe, just before.
    pub fn max_retry_after(self, longest: Duration) -> Self {
        self.with(|recipe| recipe.settings.max_retry_after = longest)
    }

    /// How many probes must succeed before it closes; no more than that are ever out at once. Default 3. With 0 it is
    /// never probed: once open, it stays open until the operator says otherwise.
    pub fn probes(self, probes: u32) -> Self {
        self.with(|recipe| recipe.settings.probes = probes)
    }

    /// A probe that has not ended after this has failed. Default 30 s; with 0 each fails.
    ///
    /// So have three or more in a row that were dropped, when it is this long since the first of them was. A success between
    /// them begins the row anew; what was never sent, since a layer inside has refused it, is not one of them.
    pub fn probe_lease(self, lease: Duration) -> Self {
        self.with(|recipe| recipe.settings.lease = lease)
    }

    /// Draws its lots (jitter, throttling) from this seed, so that a run repeats itself. Default: unrepeatable.
    pub fn seed(self, seed: u64) -> Self {
        self.with(|recipe| recipe.seed = Some(seed))
    }

    /// What a call says of the service that was dropped before it had answered. Default: nothing.
    pub fn on_cancel(mut self, policy: OnCancel) -> Self {
        self.on_cancel = policy;
        self.shares = OnceLock::new();
        self
    }

    /// Readiness is pending while a call would be refused; for those who choose by readiness, such as tower's `Balance`.
    ///
    /// Nothing is reserved: of those that are ready at once some may find the probes taken, and are refused by their
    /// call. While the operator keeps it open, or where there are no probes, it is pending until told otherwise. A
    /// throttle is always ready.
    pub fn backpressure(mut self) -> Self {
        self.backpressure = true;
        self.shares = OnceLock::new();
        self
    }

    /// Another classifier of responses and errors. `Transient`, `Throttled` and `Permanent` are failures; `Refused` and
    /// `Cancelled` say nothing of the service.
    pub fn classify<D>(self, classify: D) -> BreakerLayer<D> {
        BreakerLayer {
            circuit: self.circuit,
            recipe: self.recipe,
            classify,
            on_cancel: self.on_cancel,
            backpressure: self.backpressure,
            bypass: self.bypass,
            shares: OnceLock::new(),
        }
    }

    /// The operator's end: figures and knobs of this layer, its clones and their services. Take it after the setters.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.circuit))
    }

    fn with(mut self, change: impl FnOnce(&mut Recipe)) -> Self {
        change(&mut self.recipe);
        self.circuit = Arc::new(self.recipe.circuit());
        self.shares = OnceLock::new();
        self
    }
}

impl Default for BreakerLayer {
    /// [`BreakerLayer::new`].
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clone> Fresh for BreakerLayer<C> {
    /// A circuit of its own, with the settings of this moment: closed, nothing counted, the seed (if there is one) at its start.
    fn fresh(&self) -> Self {
        Self { circuit: Arc::new(self.circuit.fresh()), shares: OnceLock::new(), ..self.clone() }
    }

    /// Lets everything through, and looks at nothing.
    fn bypass(&self) -> Self {
        Self { bypass: true, ..self.fresh() }
    }

    /// While the operator has said the last word: a layer per key forgets no key of which that is true. A circuit that is
    /// open by itself may be forgotten to make room; it opens again when its service still fails.
    fn is_held(&self) -> bool {
        matches!(self.circuit.kind(), Kind::ForcedOpen | Kind::ForcedClosed | Kind::Disabled)
    }

    /// The longest opening, with a `Retry-After` and jitter (12 minutes, unless said), or the window, if that is longer.
    fn memory(&self) -> Duration {
        self.circuit.settings().longest().max(self.circuit.tally().memory())
    }
}

impl<S, C: Clone> Layer<S> for BreakerLayer<C> {
    type Service = Breaker<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let shares = self.shares.get_or_init(|| {
            Arc::new(Shares::new(Config {
                circuit: Arc::clone(&self.circuit),
                classify: self.classify.clone(),
                on_cancel: self.on_cancel,
                backpressure: self.backpressure,
                bypass: self.bypass,
            }))
        });
        Breaker::new(inner, Arc::clone(shares))
    }
}

// ===== impl Recipe =====

impl Recipe {
    fn circuit(&self) -> Circuit {
        let tally = match self.policy {
            Policy::Trip(trip) => Tally::new(trip.0),
            Policy::Throttle(throttle) => Tally::throttle(throttle),
        };
        Circuit::new(tally, self.settings, self.seed)
    }
}
