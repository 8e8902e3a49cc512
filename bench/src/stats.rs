//! Medians and percentiles: the only statistics here, because they do not mind an outlier.

/// Sorted figures, at least one.
#[derive(Clone, Debug)]
pub(crate) struct Sorted(Vec<f64>);

impl Sorted {
    /// `None` if there are no figures.
    pub(crate) fn new(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        (!figures.is_empty()).then_some(Self(figures))
    }

    pub(crate) fn min(&self) -> f64 {
        self.0[0]
    }

    pub(crate) fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// The middle one, or the mean of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let (figures, half) = (&self.0, self.0.len() / 2);
        if figures.len() % 2 == 1 {
            figures[half]
        } else {
            f64::midpoint(figures[half - 1], figures[half])
        }
    }

    /// The smallest figure that `percent` of all do not exceed (nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0[rank.clamp(1, self.0.len()) - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        let odd = Sorted::new(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.min(), odd.median(), odd.max()), (1.0, 2.0, 3.0));
        let even = Sorted::new(vec![4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(even.median(), 2.5);
        let hundred = Sorted::new((1..=100).map(f64::from).collect()).unwrap();
        assert_eq!((hundred.percentile(99), hundred.percentile(100)), (99.0, 100.0));
        assert_eq!(Sorted::new(vec![7.0]).unwrap().percentile(99), 7.0);
        assert!(Sorted::new(Vec::new()).is_none());
    }
}
