//! The polynomial over GF(2) that a repository cuts its files with.
//!
//! Bit `i` of the number is the coefficient of `x^i`. Every repository has its
//! own, drawn at random when it is made and kept in its `config` as hexadecimal
//! text, so that chunk lengths tell an outsider nothing about known files.
//!
//! A [`Polynomial`] is always usable: irreducible, of degree 8 to 53. That is what
//! restic accepts (it refuses reducible ones, and its digest has no room for other
//! degrees); what restic and Keepwell make is of degree 53. Every loop here is
//! bounded by the width of the number, whatever the number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, Result};

/// An irreducible polynomial over GF(2) of degree 8 to 53.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Polynomial(u64);

/// Below it, the digest has fewer bits than the byte that is shifted in.
pub const POLYNOMIAL_DEGREE_MIN: u32 = 8;

/// The largest prime that leaves the digest 8 bits to grow by, and the degree of every polynomial made here.
pub const POLYNOMIAL_DEGREE_MAX: u32 = 53;

/// About 2 in 53 candidates are irreducible: a fair source misses this often with
/// probability e^-380, so reaching it means that the source repeats itself.
const RANDOM_TRIES_MAX: usize = 10_000;

/// Why a number or a text is no polynomial to cut files with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolynomialError {
    /// Not 1 to 16 significant hexadecimal digits.
    #[error("the chunker polynomial is not a 64-bit hexadecimal number")]
    NotHexadecimal,
    /// The degree is outside 8 to 53.
    #[error("the chunker polynomial {value:x} is not of degree 8 to 53")]
    DegreeOutOfRange {
        /// The number, bit `i` being the coefficient of `x^i`.
        value: u64,
    },
    /// The polynomial is a product, which would make some digests far likelier than others.
    #[error("the chunker polynomial {value:x} is reducible")]
    Reducible {
        /// The number, bit `i` being the coefficient of `x^i`.
        value: u64,
    },
}

impl Polynomial {
    /// The polynomial whose coefficient of `x^i` is bit `i` of `value`.
    pub fn new(value: u64) -> Result<Self, PolynomialError> {
        if value >> POLYNOMIAL_DEGREE_MIN == 0 || value >> POLYNOMIAL_DEGREE_MAX > 1 {
            return Err(PolynomialError::DegreeOutOfRange { value });
        }
        if !is_irreducible(value) {
            return Err(PolynomialError::Reducible { value });
        }
        Ok(Self(value))
    }

    /// Draws a polynomial of degree 53, uniformly, the way restic does: 8 little-endian bytes a candidate,
    /// with the highest and the lowest coefficient set.
    ///
    /// `fill` must fill the slice it is given with random bytes; its errors are handed on. A source that
    /// yields no irreducible candidate in 10,000 is refused with [`Error::Invalid`].
    pub fn random(mut fill: impl FnMut(&mut [u8]) -> Result<()>) -> Result<Self> {
        for _ in 0..RANDOM_TRIES_MAX {
            let mut bytes = [0u8; 8];
            fill(&mut bytes)?;
            let top = 1u64 << POLYNOMIAL_DEGREE_MAX;
            let candidate = u64::from_le_bytes(bytes) & (top - 1) | top | 1;
            if is_irreducible(candidate) {
                return Ok(Self(candidate));
            }
        }
        Err(Error::Invalid("the source of random bytes yields no irreducible polynomial".into()))
    }

    /// The coefficients: bit `i` is that of `x^i`.
    pub fn value(self) -> u64 {
        self.0
    }

    /// 8 to 53.
    pub fn degree(self) -> u32 {
        degree(self.0)
    }

    /// `value` modulo this polynomial.
    pub(super) fn reduce(self, value: u64) -> u64 {
        remainder(value, self.0)
    }
}

/// Whether the polynomial has no divisor but 1 and itself (Ben-Or's test). Of the constants, which are neither
/// reducible nor irreducible, it says no.
///
/// `x^(2^i) - x` is the product of all irreducible polynomials whose degree divides `i`; a product of two has
/// a factor of at most half its degree, which one of these shares.
pub fn is_irreducible(value: u64) -> bool {
    if value < 2 {
        return false;
    }
    let x = remainder(2, value);
    let mut power = x;
    (0..degree(value) / 2).all(|_| {
        power = multiply_modulo(power, power, value);
        greatest_common_divisor(value, power ^ x) == 1
    })
}

/// The position of the highest set bit; that of zero is taken as 0.
fn degree(value: u64) -> u32 {
    value.checked_ilog2().unwrap_or(0)
}

/// The remainder of `value / divisor`; `divisor` is not zero.
fn remainder(mut value: u64, divisor: u64) -> u64 {
    while value != 0 && degree(value) >= degree(divisor) {
        value ^= divisor << (degree(value) - degree(divisor));
    }
    value
}

/// `left * right` modulo `divisor`; both factors are reduced already.
fn multiply_modulo(left: u64, right: u64, divisor: u64) -> u64 {
    let top = 1u64 << degree(divisor);
    let mut product = 0u64;
    for bit in (0..degree(divisor)).rev() {
        // Doubling a reduced number sets at most the divisor's top bit; a 64-bit
        // divisor has no bit above its own, so that nothing is shifted out.
        product <<= 1;
        if product & top != 0 {
            product ^= divisor;
        }
        if right >> bit & 1 == 1 {
            product ^= left;
        }
    }
    product
}

fn greatest_common_divisor(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, remainder(left, right));
    }
    left
}

impl FromStr for Polynomial {
    type Err = PolynomialError;

    /// Reads what `Display` writes; upper-case digits and leading zeros are taken too, as restic does.
    fn from_str(text: &str) -> Result<Self, PolynomialError> {
        // `from_str_radix` alone would take a sign.
        if !text.bytes().all(|character| character.is_ascii_hexdigit()) {
            return Err(PolynomialError::NotHexadecimal);
        }
        let value = u64::from_str_radix(text, 16).map_err(|_| PolynomialError::NotHexadecimal)?;
        Self::new(value)
    }
}

impl fmt::Display for Polynomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Debug for Polynomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Polynomial({:x})", self.0)
    }
}

impl Serialize for Polynomial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Polynomial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HexVisitor;
        impl de::Visitor<'_> for HexVisitor {
            type Value = Polynomial;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a polynomial as hexadecimal text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Polynomial, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(HexVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn config_text_of_restic_is_read_and_written_unchanged() {
        for text in ["25b468838dcb75", "3da3358b4dc173", "3dea92648f6e83"] {
            let polynomial: Polynomial = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(polynomial.degree(), 53);
            assert_eq!(serde_json::to_string(&polynomial).unwrap(), format!("\"{text}\""));
        }
        assert_eq!("0025B468838DCB75".parse(), Polynomial::new(0x0025_b468_838d_cb75));
    }

    #[test]
    fn text_that_is_no_usable_polynomial_is_refused_with_its_reason() {
        use PolynomialError::{DegreeOutOfRange, NotHexadecimal, Reducible};
        let cases = [
            ("", NotHexadecimal),
            ("+25b468838dcb75", NotHexadecimal),
            ("0x25b468838dcb75", NotHexadecimal),
            ("10000000000000000", NotHexadecimal),
            ("0", DegreeOutOfRange { value: 0 }),
            ("1", DegreeOutOfRange { value: 1 }),
            ("83", DegreeOutOfRange { value: 0x83 }),
            ("ffffffffffffffff", DegreeOutOfRange { value: u64::MAX }),
            ("40000000000001", DegreeOutOfRange { value: 1 << 54 | 1 }),
            ("20000000000001", Reducible { value: 1 << 53 | 1 }),
            ("25b468838dcb74", Reducible { value: 0x0025_b468_838d_cb74 }),
            ("101", Reducible { value: 0x101 }),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Polynomial>(), Err(error), "{text}");
        }
        assert!("11b".parse::<Polynomial>().is_ok(), "AES's polynomial, of the lowest degree accepted");
    }

    #[test]
    fn irreducibility_agrees_with_trial_division() {
        for value in 0..1u64 << 12 {
            let divided = (2..value).any(|divisor| {
                2 * degree(divisor) <= degree(value) && divisor > 1 && remainder(value, divisor) == 0
            });
            assert_eq!(is_irreducible(value), value > 1 && !divided, "{value:x}");
        }
    }

    #[test]
    fn random_polynomials_have_degree_53_and_errors_of_the_source_are_handed_on() {
        let mut state = 1u64;
        let polynomial = Polynomial::random(|bytes| {
            for byte in bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (state >> 56) as u8;
            }
            Ok(())
        });
        let polynomial = polynomial.unwrap();
        assert_eq!(polynomial.degree(), 53);
        assert_eq!(Polynomial::new(polynomial.value()), Ok(polynomial));
        assert!(matches!(Polynomial::random(|_| Err(Error::Cancelled)), Err(Error::Cancelled)));
        assert!(matches!(Polynomial::random(|_| Ok(())), Err(Error::Invalid(_))), "x^53 + 1 for ever");
    }

    proptest! {
        #[test]
        fn any_number_is_judged_without_panic(value: u64, text: String) {
            let _ = is_irreducible(value);
            let _ = text.parse::<Polynomial>();
            if let Ok(polynomial) = Polynomial::new(value) {
                prop_assert_eq!(polynomial.to_string().parse(), Ok(polynomial));
            }
        }
    }
}
