//! Any script of calls, ends, drops and turned knobs goes as in a plain model.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use proptest::{prelude::*, sample::Index};
use tokio_test::{assert_pending, assert_ready};

use crate::support::{call, held, refusal};

#[derive(Clone, Copy, Debug)]
enum Step {
    Call,
    /// The call that runs longest ends.
    End,
    /// One of the calls that there are is dropped.
    Drop(Index),
    /// One of the calls that there are is polled, woken or not.
    Poll(Index),
    SetMax(usize),
    SetQueue(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Call),
        3 => Just(Step::End),
        3 => any::<Index>().prop_map(Step::Drop),
        2 => any::<Index>().prop_map(Step::Poll),
        1 => (0..5_usize).prop_map(Step::SetMax),
        1 => (0..5_usize).prop_map(Step::SetQueue),
    ]
}

/// Who runs, in the order of admission, and who waits; the calls that were refused while they waited.
struct Model {
    max: usize,
    queue: usize,
    running: Vec<u64>,
    waiting: VecDeque<u64>,
    refused: BTreeSet<u64>,
}

impl Model {
    fn grant(&mut self) {
        if self.max == 0 {
            self.refused.extend(self.waiting.drain(..));
        }
        while self.running.len() < self.max
            && let Some(next) = self.waiting.pop_front()
        {
            self.running.push(next);
        }
    }

    fn leave(&mut self, n: u64) {
        self.running.retain(|&other| other != n);
        self.waiting.retain(|&other| other != n);
        self.refused.remove(&n);
        self.grant();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_script_goes_as_in_a_plain_model(max in 0..4_usize, queue in 0..4_usize, steps in prop::collection::vec(step(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _inside = runtime.enter();
        let layer = ConcurrencyLimitLayer::new(max).queue(queue);
        let (service, handle) = held(&layer);
        let mut model = Model { max, queue, running: vec![], waiting: VecDeque::new(), refused: BTreeSet::new() };
        let mut calls = BTreeMap::new();
        let mut number = 0;
        for step in steps {
            match step {
                Step::Call => {
                    number += 1;
                    let mut call = call(&service, number);
                    if model.max > 0 && model.running.len() < model.max && model.waiting.is_empty() {
                        assert_pending!(call.poll());
                        model.running.push(number);
                        calls.insert(number, call);
                    } else if model.max > 0 && model.waiting.len() < model.queue {
                        assert_pending!(call.poll());
                        model.waiting.push_back(number);
                        calls.insert(number, call);
                    } else {
                        refusal(assert_ready!(call.poll()));
                    }
                }
                Step::End => {
                    // The probe ends the call that started first; all that are admitted are running by now.
                    let first = handle.started().iter().filter_map(|call| call.id).find(|id| model.running.contains(id));
                    prop_assert_eq!(handle.release(1), usize::from(first.is_some()));
                    if let Some(first) = first {
                        let mut call = calls.remove(&first).unwrap();
                        prop_assert!(assert_ready!(call.poll()).is_ok());
                        model.leave(first);
                    }
                }
                Step::Drop(index) | Step::Poll(index) if !calls.is_empty() => {
                    let number = *calls.keys().nth(index.index(calls.len())).unwrap();
                    if let Step::Drop(_) = step {
                        calls.remove(&number);
                        model.leave(number);
                    } else {
                        assert_pending!(calls.get_mut(&number).unwrap().poll());
                    }
                }
                Step::Drop(_) | Step::Poll(_) => {}
                Step::SetMax(max) => {
                    layer.handle().set_max(max).unwrap();
                    model.max = max;
                    model.grant();
                }
                Step::SetQueue(queue) => {
                    layer.handle().set_queue(queue).unwrap();
                    model.queue = queue;
                }
            }

            // Those and only those are woken whose turn has come.
            let started: BTreeSet<_> = handle.started().iter().filter_map(|call| call.id).collect();
            for (number, call) in &calls {
                let turn = model.refused.contains(number) || model.running.contains(number) && !started.contains(number);
                prop_assert!(!turn || call.is_woken(), "call {} was not woken", number);
                prop_assert!(turn || !model.waiting.contains(number) || !call.is_woken(), "call {} was woken", number);
            }
            for refused in std::mem::take(&mut model.refused) {
                refusal(assert_ready!(calls.remove(&refused).unwrap().poll()));
            }
            for call in calls.values_mut().filter(|call| call.is_woken()) {
                assert_pending!(call.poll());
            }
            let stats = layer.handle().stats();
            prop_assert_eq!((stats.in_flight, stats.queued), (model.running.len(), model.waiting.len()));
            prop_assert_eq!(handle.in_flight(), model.running.iter().copied().collect::<BTreeSet<_>>());
        }
        calls.clear();
        let stats = layer.handle().stats();
        prop_assert_eq!((stats.in_flight, stats.queued), (0, 0));
        let ended = stats.admitted + stats.refused + stats.timed_out + stats.cancelled_queued;
        prop_assert_eq!(ended, number, "each call has come to one end at the door");
        prop_assert_eq!(handle.violations(), []);
    }
}
