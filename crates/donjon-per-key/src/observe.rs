use donjon_core::{Figure, Fresh, Observe};

use crate::{Handle, kept::KINDS};

/// `donjon_per_key_*`: `keys`, `busy`, `max_keys` (gauges); `created_total`, `evicted_total`, `expired_total`,
/// `without_key_total`, `when_full_total`, and `refused_total` with the label `kind` (the names of
/// [`RejectionKind`](donjon_core::RejectionKind), and `other`), over all keys. Nothing of a single key: keys are without
/// bound, and no labels.
impl<K, L: Fresh> Observe for Handle<K, L> {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        let stats = self.stats();
        #[expect(clippy::cast_precision_loss, reason = "a number of keys is far below 2^53")]
        for (name, help, value) in [
            ("donjon_per_key_keys", "Keys that have a state.", stats.keys as f64),
            ("donjon_per_key_busy", "Keys that are in use.", stats.busy as f64),
            ("donjon_per_key_max_keys", "How many keys may have a state.", stats.max_keys as f64),
        ] {
            visit(Figure::gauge(name, help, value));
        }
        for (name, help, value) in [
            ("donjon_per_key_created_total", "States that were made.", stats.created),
            ("donjon_per_key_evicted_total", "States that made room for others, or were forgotten.", stats.evicted),
            ("donjon_per_key_expired_total", "States that left after having been idle.", stats.expired),
            ("donjon_per_key_without_key_total", "Calls that had no key.", stats.without_key),
            ("donjon_per_key_when_full_total", "Calls for which there was no room.", stats.when_full),
        ] {
            visit(Figure::counter(name, help, value));
        }
        let names = KINDS.iter().map(|kind| kind.as_str()).chain(["other"]);
        for (kind, value) in names.zip(stats.by_kind) {
            let help = "Calls that were refused by the layer of their key, or inside of it.";
            visit(Figure::counter("donjon_per_key_refused_total", help, value).label("kind", kind));
        }
    }
}
