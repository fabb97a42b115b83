//! Policies that are one formula each.

/// The rate of a client that was throttled when it sent `last_max` a second, so many seconds ago.
///
/// Source: smithy-rs, `client_rate_limiter.rs` (AWS SDKs' adaptive mode): a cubic curve with beta 0.7 and scale 0.4.
#[must_use]
pub fn aws_cubic_rate(last_max: f64, since_throttle: f64) -> f64 {
    const BETA: f64 = 0.7;
    const SCALE: f64 = 0.4;
    let plateau = (last_max * (1.0 - BETA) / SCALE).cbrt();
    SCALE * (since_throttle - plateau).powi(3) + last_max
}

/// The share of its calls that a client refuses by itself. Source: Site Reliability Engineering, chapter 21, with K.
#[must_use]
pub fn sre_throttle(requests: f64, accepts: f64, k: f64) -> f64 {
    ((requests - k * accepts) / (requests + 1.0)).max(0.0)
}

/// The share that Envoy's admission control refuses. Source: Envoy, `admission_control_filter`.
#[must_use]
pub fn envoy_admission(requests: f64, successes: f64, threshold: f64, aggression: f64) -> f64 {
    ((requests - successes / threshold) / (requests + 1.0)).max(0.0).powf(1.0 / aggression)
}

/// Endpoints that succeed less often than this are ejected. Source: gRPC proposal A50, Envoy's success-rate ejection.
#[must_use]
pub fn ejection_threshold(success_rates: &[f64]) -> f64 {
    let hosts = success_rates.len() as f64;
    let mean = success_rates.iter().sum::<f64>() / hosts;
    let variance = success_rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / hosts;
    mean - 1.9 * variance.sqrt()
}

/// The next limit of Envoy's adaptive concurrency. Source: Envoy, `gradient_controller.cc`: `buffer` is 0.25 there.
#[must_use]
pub fn envoy_gradient(limit: f64, min_rtt: f64, sample_rtt: f64, buffer: f64) -> f64 {
    let gradient = (min_rtt * (1.0 + buffer) / sample_rtt).clamp(0.5, 2.0);
    limit * gradient + limit.sqrt()
}
