//! Averages that rise.

/// The rising values nearest to these (value, weight), by weighted squares: neighbours that fall are
/// pooled into their mean until none do. Larger values at the same weights give larger ones.
pub(super) fn pooled<const N: usize>(points: [(f64, f64); N]) -> [f64; N] {
    let mut blocks: Vec<(f64, f64, usize)> = Vec::with_capacity(N);
    for (value, weight) in points {
        let mut block = (value, weight, 1);
        while let Some(before) = blocks.pop_if(|before| before.0 >= block.0) {
            let weight = before.1 + block.1;
            let value = if weight > 0.0 {
                (before.0 * before.1 + block.0 * block.1) / weight
            } else {
                block.0
            };
            block = (value, weight, before.2 + block.2);
        }
        blocks.push(block);
    }
    let mut values = blocks
        .into_iter()
        .flat_map(|(value, _, count)| std::iter::repeat_n(value, count));
    std::array::from_fn(|_| values.next().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_rises_stays_and_what_falls_is_pooled_by_weight() {
        for (points, wanted) in [
            (
                [(0.1, 1.0), (0.2, 1.0), (0.3, 5.0), (0.9, 1.0)],
                [0.1, 0.2, 0.3, 0.9],
            ),
            (
                [(0.1, 1.0), (0.8, 3.0), (0.4, 1.0), (0.9, 1.0)],
                [0.1, 0.7, 0.7, 0.9],
            ),
            ([(0.4, 1.0), (0.3, 1.0), (0.2, 1.0), (0.1, 1.0)], [0.25; 4]),
        ] {
            let pooled = pooled(points);
            for (one, wanted) in pooled.iter().zip(wanted) {
                assert!((one - wanted).abs() < 1e-12, "{pooled:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_rises_keeps_the_mean_and_larger_ones_give_larger_ones(
            points in prop::array::uniform8((0.0_f64..1.0, 0.1_f64..100.0)),
            more in prop::array::uniform8(0.0_f64..1.0),
        ) {
            let rising: [f64; 8] = pooled(points);
            prop_assert!(rising.is_sorted());
            let sum = |values: &[f64; 8]| -> f64 {
                values.iter().zip(points).map(|(value, (_, weight))| value * weight).sum()
            };
            let before = points.map(|(value, _)| value);
            prop_assert!((sum(&rising) - sum(&before)).abs() < 1e-9);
            let larger: [f64; 8] = pooled(std::array::from_fn(|at| {
                (points[at].0 + more[at], points[at].1)
            }));
            for (one, larger) in rising.iter().zip(larger) {
                prop_assert!(*one <= larger + 1e-9);
            }
        }
    }
}
