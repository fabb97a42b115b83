use tokio::time::Instant;

use crate::two_lane::TwoLane;

const NIL: u32 = u32::MAX;
/// An empty queue that has grown beyond this gives its memory back.
const KEEP: usize = 1024;

/// Who waits, in which order, and what became of those whose turn has come; each with a value of its own (a waker).
///
/// A pure state machine: it knows no clock, no atomic and no task. Every operation takes constant time, except that
/// [`pop`](Self::pop) may move late callers from lane to lane, each of them once in its life.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    nodes: Vec<Node<T>>,
    free: u32,
    /// Nodes in use.
    used: usize,
    waiting: usize,
    /// Lane 0 is the FIFO lane, lane 1 the late stack, whose newest is at its back.
    lanes: [Lane; 2],
    two_lane: Option<TwoLane>,
}

/// A place in the queue: from `push` until `remove`, and not longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u32);

/// What became of a caller that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Granted,
    Refused,
}

/// What a place held when it was given up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Removed<T> {
    Waiting(T),
    Settled(Verdict),
}

#[derive(Debug)]
enum Node<T> {
    Free { next: u32 },
    Waiting(Waiting<T>),
    Settled(Verdict),
}

#[derive(Debug)]
struct Waiting<T> {
    value: T,
    since: Instant,
    lane: usize,
    prev: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Lane {
    front: u32,
    back: u32,
}

// ===== impl Queue =====

impl<T> Queue<T> {
    /// First in, first out.
    pub(crate) fn new() -> Self {
        Self { nodes: Vec::new(), free: NIL, used: 0, waiting: 0, lanes: [Lane::EMPTY; 2], two_lane: None }
    }

    /// From now on with the rules of two lanes. Those who wait keep their places.
    pub(crate) fn set_two_lane(&mut self, rules: TwoLane) {
        self.two_lane = Some(rules);
    }

    pub(crate) fn two_lane(&self) -> Option<&TwoLane> {
        self.two_lane.as_ref()
    }

    /// A caller that arrives now takes the last place.
    pub(crate) fn push(&mut self, value: T, now: Instant) -> Key {
        let node = Node::Waiting(Waiting { value, since: now, lane: 0, prev: NIL, next: NIL });
        let index = self.free;
        let index = if index == NIL {
            let index = u32::try_from(self.nodes.len()).expect("the word of the limiter counts at most 2^24 callers");
            self.nodes.push(node);
            index
        } else {
            if let Node::Free { next } = self.nodes[index as usize] {
                self.free = next;
            }
            self.nodes[index as usize] = node;
            index
        };
        self.used += 1;
        self.waiting += 1;
        self.link_back(index, 0);
        Key(index)
    }

    /// Whose turn it is: who is served now, or is refused because it has waited too long; and its value. Its place
    /// keeps the verdict until it is removed.
    ///
    /// The time and how many callers have ever arrived, queued or not, are asked for only where ages matter.
    pub(crate) fn pop(&mut self, time: impl FnOnce() -> (Instant, u64)) -> Option<(Verdict, T)> {
        if self.waiting == 0 {
            return None;
        }
        let Some(rules) = &mut self.two_lane else {
            return self.settle(self.lanes[0].front, Verdict::Granted);
        };
        let (now, arrivals) = time();
        rules.advance(now, arrivals);
        let (late_after, hopeless_after) = (rules.late_after(), rules.hopeless_after());
        while let Some(since) = self.since(self.lanes[0].front)
            && now.saturating_duration_since(since) > late_after
        {
            let index = self.lanes[0].front;
            self.unlink(index);
            self.link_back(index, 1);
            if let Some(rules) = &mut self.two_lane {
                rules.demote();
            }
        }
        if self.lanes[0].front != NIL {
            return self.settle(self.lanes[0].front, Verdict::Granted);
        }
        let newest = self.lanes[1].back;
        let since = self.since(newest)?;
        let hopeless = now.saturating_duration_since(since) > hopeless_after;
        self.settle(newest, if hopeless { Verdict::Refused } else { Verdict::Granted })
    }

    /// Refuses one of those who wait, for no fault of its own.
    pub(crate) fn refuse(&mut self) -> Option<T> {
        let index = if self.lanes[0].front == NIL { self.lanes[1].front } else { self.lanes[0].front };
        self.settle(index, Verdict::Refused).map(|(_, value)| value)
    }

    /// The value of a place that still waits, or what became of it.
    pub(crate) fn get_mut(&mut self, key: Key) -> Result<&mut T, Verdict> {
        match &mut self.nodes[key.0 as usize] {
            Node::Waiting(waiting) => Ok(&mut waiting.value),
            Node::Settled(verdict) => Err(*verdict),
            Node::Free { .. } => unreachable!("a key is of no use after its removal"),
        }
    }

    /// Gives up a place.
    pub(crate) fn remove(&mut self, key: Key) -> Removed<T> {
        let index = key.0;
        if let Node::Waiting(_) = self.nodes[index as usize] {
            self.unlink(index);
            self.waiting -= 1;
        }
        let node = std::mem::replace(&mut self.nodes[index as usize], Node::Free { next: self.free });
        self.free = index;
        self.used -= 1;
        if self.used == 0 && self.nodes.len() > KEEP {
            self.nodes = Vec::new();
            self.free = NIL;
        }
        match node {
            Node::Waiting(waiting) => Removed::Waiting(waiting.value),
            Node::Settled(verdict) => Removed::Settled(verdict),
            Node::Free { .. } => unreachable!("a key is of no use after its removal"),
        }
    }

    fn since(&self, index: u32) -> Option<Instant> {
        match self.nodes.get(index as usize)? {
            Node::Waiting(waiting) => Some(waiting.since),
            _ => None,
        }
    }

    fn settle(&mut self, index: u32, verdict: Verdict) -> Option<(Verdict, T)> {
        if index == NIL {
            return None;
        }
        self.unlink(index);
        self.waiting -= 1;
        match std::mem::replace(&mut self.nodes[index as usize], Node::Settled(verdict)) {
            Node::Waiting(waiting) => Some((verdict, waiting.value)),
            _ => unreachable!("only those who wait are in a lane"),
        }
    }

    fn waiting_mut(&mut self, index: u32) -> &mut Waiting<T> {
        match &mut self.nodes[index as usize] {
            Node::Waiting(waiting) => waiting,
            _ => unreachable!("only those who wait are in a lane"),
        }
    }

    fn link_back(&mut self, index: u32, lane: usize) {
        let back = self.lanes[lane].back;
        let node = self.waiting_mut(index);
        (node.lane, node.prev, node.next) = (lane, back, NIL);
        match back {
            NIL => self.lanes[lane].front = index,
            back => self.waiting_mut(back).next = index,
        }
        self.lanes[lane].back = index;
    }

    fn unlink(&mut self, index: u32) {
        let node = self.waiting_mut(index);
        let (lane, prev, next) = (node.lane, node.prev, node.next);
        match prev {
            NIL => self.lanes[lane].front = next,
            prev => self.waiting_mut(prev).next = next,
        }
        match next {
            NIL => self.lanes[lane].back = prev,
            next => self.waiting_mut(next).prev = prev,
        }
    }
}

// ===== impl Lane =====

impl Lane {
    const EMPTY: Self = Self { front: NIL, back: NIL };
}

// The models in loom compile this file in, without its tests.
#[cfg(all(test, not(donjon_loom)))]
#[path = "queue/burst.rs"]
mod burst;
#[cfg(all(test, not(donjon_loom)))]
#[path = "queue/tests.rs"]
mod tests;
