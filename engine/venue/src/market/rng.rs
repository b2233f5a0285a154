//! The generator's own random numbers: the bytes of a market must be the same on every machine, so neither a library's
//! generator (which may change with a version) nor the C library's logarithm (which differs in the last bit) is used.

/// xoshiro256++, seeded through SplitMix64. Not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// Any seed is good, zero too: SplitMix64 spreads it over the whole state.
    pub(crate) fn new(seed: u64) -> Self {
        let mut z = seed;
        let state = std::array::from_fn(|_| {
            z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut x = z;
            x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            x ^ (x >> 31)
        });
        Self { state }
    }

    #[inline]
    pub(crate) fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (mixed_c, mixed_d) = (c ^ a, d ^ b);
        self.state = [a ^ mixed_d, b ^ mixed_c, mixed_c ^ (b << 17), mixed_d.rotate_left(45)];
        result
    }

    /// Uniform in `0..bound`; `bound` must not be 0. The bias is under 2^-32 for every bound used here.
    #[inline]
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// Uniform in (0, 1), never 0 and never 1.
    #[inline]
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
    }

    #[inline]
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Exponential with mean 1.
    #[inline]
    pub(crate) fn exponential(&mut self) -> f64 {
        -ln(self.unit())
    }

    /// About normal with mean 0 and variance 1: the sum of four uniform numbers cut from one draw.
    #[inline]
    pub(crate) fn gaussian(&mut self) -> f64 {
        let bits = self.bits();
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        const SQRT_3: f64 = 1.732_050_807_568_877_2;
        (sum as f64 * (1.0 / 65_536.0) - 2.0) * SQRT_3
    }
}

/// Natural logarithm of a positive normal number, by IEEE additions, multiplications and one division only.
/// The error is under 1e-9, far below anything that a market's times and prices show.
#[inline]
fn ln(x: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = 1.0 / 9.0 + square * (1.0 / 11.0);
    let series = 1.0 / 5.0 + square * (1.0 / 7.0 + square * series);
    exponent as f64 * LN_2 + 2.0 * s * (1.0 + square * (1.0 / 3.0 + square * series))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_is_close_to_the_library_one() {
        let mut rng = Rng::new(1);
        for _ in 0..10_000 {
            let x = rng.unit();
            assert!((ln(x) - x.ln()).abs() < 1e-8, "ln({x}) = {} and not {}", ln(x), x.ln());
        }
    }

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs of xoshiro256++ from the state 1, 2, 3, 4 (reference code by Blackman and Vigna).
        let mut rng = Rng { state: [1, 2, 3, 4] };
        let got: [u64; 4] = std::array::from_fn(|_| rng.bits());
        assert_eq!(got, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn moments_are_right() {
        let mut rng = Rng::new(7);
        let n = 200_000;
        let (mut exponential, mut gaussian, mut square) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            exponential += rng.exponential();
            let g = rng.gaussian();
            gaussian += g;
            square += g * g;
        }
        let n = f64::from(n);
        assert!((exponential / n - 1.0).abs() < 0.01, "mean of the exponential: {}", exponential / n);
        assert!((gaussian / n).abs() < 0.01, "mean of the gaussian: {}", gaussian / n);
        assert!((square / n - 1.0).abs() < 0.01, "variance of the gaussian: {}", square / n);
    }
}
