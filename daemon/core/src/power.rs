//! Powers of two and their logarithm, by arithmetic alone.
//!
//! Owns: [`exp2`] and [`log2`]. IEEE 754 rounds products, quotients and square roots the same
//! everywhere; the mathematical library of each system rounds in its own way, so that the same events
//! would not give the same commands on another machine.

/// Binary digits behind the point that are reckoned with.
const DIGITS: u32 = 30;

/// Two to the power of this, between the least and the greatest normal number.
pub(crate) fn exp2(exponent: f64) -> f64 {
    let exponent = exponent.clamp(-1_022.0, 1_023.0);
    let whole = exponent.floor();
    let mut rest = exponent - whole;
    let (mut power, mut root) = (1.0_f64, 2.0_f64);
    for _ in 0..DIGITS {
        root = root.sqrt();
        rest *= 2.0;
        if rest >= 1.0 {
            rest -= 1.0;
            power *= root;
        }
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 1 to 2,046"
    )]
    let biased = (whole + 1_023.0) as u64;
    power * f64::from_bits(biased << 52)
}

/// The logarithm to the base of two of a normal number above zero; of what is none, that of the
/// least.
pub(crate) fn log2(of: f64) -> f64 {
    let of = of.clamp(f64::MIN_POSITIVE, f64::MAX);
    let (bits, fraction) = (of.to_bits(), (1_u64 << 52) - 1);
    #[allow(clippy::cast_precision_loss, reason = "from 1 to 2,046")]
    let mut logarithm = (bits >> 52) as f64 - 1_023.0;
    let mut rest = f64::from_bits((bits & fraction) | (1_023 << 52));
    let mut digit = 1.0;
    for _ in 0..DIGITS {
        digit /= 2.0;
        rest *= rest;
        if rest >= 2.0 {
            rest /= 2.0;
            logarithm += digit;
        }
    }
    logarithm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_mathematics_says() {
        for at in -4_000..4_000 {
            let exponent = f64::from(at) / 7.0;
            assert!(
                (exp2(exponent) / exponent.exp2() - 1.0).abs() < 1e-8,
                "{exponent}"
            );
            assert!(
                (log2(exponent.exp2()) - exponent).abs() < 1e-8,
                "{exponent}"
            );
        }
    }

    #[test]
    fn whole_powers_are_exact_and_what_has_none_is_bounded() {
        for exponent in [-1_022, -3, 0, 1, 20, 1_023] {
            let power = exp2(f64::from(exponent));
            assert_eq!(power.to_bits(), 2.0_f64.powi(exponent).to_bits());
            assert_eq!(log2(power).to_bits(), f64::from(exponent).to_bits());
        }
        assert!(exp2(f64::INFINITY).is_finite() && exp2(f64::NEG_INFINITY) > 0.0);
        assert!(log2(0.0).is_finite() && log2(f64::INFINITY).is_finite());
    }
}
