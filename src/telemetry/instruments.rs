//! A histogram and families whose members are known when they are made.
//!
//! Invariants: to observe is a few relaxed atomic additions, without a lock and without looking anything up.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

/// Upper bounds in seconds. From what a store takes on the same machine to what clients wait for.
const BOUNDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, f64::INFINITY];

/// How long something took. Clones count into the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram(Arc<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    counts: [AtomicU64; BOUNDS.len()],
    sum_ns: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, took: Duration) {
        let secs = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| secs <= *bound).unwrap_or(BOUNDS.len() - 1);
        self.0.counts[bucket].fetch_add(1, Relaxed);
        self.0.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let counts: Vec<(f64, u64)> =
            BOUNDS.iter().zip(&self.0.counts).map(|(bound, count)| (*bound, count.load(Relaxed))).collect();
        let count = counts.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.sum_ns.load(Relaxed)).as_secs_f64();
        encoder.encode_histogram::<[(&str, &str); 0]>(sum, count, &counts, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// A count that is kept elsewhere.
#[derive(Debug)]
pub(super) struct CountOf(pub(super) fn() -> u64);

impl EncodeMetric for CountOf {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_counter::<NoLabelSet, _, u64>(&(self.0)(), None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// The labels of one member, by name and value.
type Labels = Vec<(&'static str, &'static str)>;

/// Metrics of one name, told apart by labels. Members are found by their place.
#[derive(Debug)]
pub(super) struct Members<M>(Arc<Vec<(Labels, M)>>);

impl<M> Clone for Members<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Default> Members<M> {
    /// One for each set of labels.
    pub(super) fn new(labels: impl IntoIterator<Item = Labels>) -> Self {
        Self(Arc::new(labels.into_iter().map(|labels| (labels, M::default())).collect()))
    }

    /// One for each value of a label.
    pub(super) fn of(name: &'static str, values: &[&'static str]) -> Self {
        Self::new(values.iter().map(|value| vec![(name, *value)]))
    }

    pub(super) fn at(&self, place: usize) -> Option<&M> {
        self.0.get(place).map(|(_, metric)| metric)
    }
}

impl<M: EncodeMetric> EncodeMetric for Members<M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(labels, metric)| metric.encode(encoder.encode_family(labels)?))
    }

    fn metric_type(&self) -> MetricType {
        self.0.first().map_or(MetricType::Unknown, |(_, metric)| metric.metric_type())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn what_was_observed_is_counted_in_its_bucket_and_summed() {
        let family = Members::<Histogram>::of("of", &["one", "two"]);
        for ms in [0, 2, 2, 30_000] {
            family.at(1).unwrap().observe(Duration::from_millis(ms));
        }
        let mut registry = Registry::default();
        registry.register("took_seconds", "How long", family);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "took_seconds_sum{of=\"two\"} 30.004\n",
            "took_seconds_count{of=\"two\"} 4\n",
            "took_seconds_count{of=\"one\"} 0\n",
            "took_seconds_bucket{le=\"0.0005\",of=\"two\"} 1\n",
            "took_seconds_bucket{le=\"0.0025\",of=\"two\"} 3\n",
            "took_seconds_bucket{le=\"10.0\",of=\"two\"} 3\n",
            "took_seconds_bucket{le=\"+Inf\",of=\"two\"} 4\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
