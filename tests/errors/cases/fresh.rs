use donjon_core::Fresh;

fn one_for_each_tenant<L: Fresh>(layer: &L) -> L {
    layer.fresh()
}

fn main() {
    one_for_each_tenant(&tower::layer::util::Identity::new());
}
