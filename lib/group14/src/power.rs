//! The two exponentiations, whatever arithmetic is beneath.
//!
//! Owns the order of squarings and multiplications, the same for every exponent. A table entry that
//! depends on the exponent is found by reading the whole table. Next: `ifma.rs` and `portable.rs`.

use zeroize::Zeroize;

use crate::{ELEMENT_LEN, EXPONENT_LEN, TWO};

/// Multiplication modulo p, in whatever form suits the processor.
pub(crate) trait Arithmetic {
    type Element: Clone + Zeroize;

    fn one(&self) -> Self::Element;
    fn read(&self, bytes: &[u8; ELEMENT_LEN]) -> Self::Element;
    fn write(&self, element: &Self::Element, bytes: &mut [u8; ELEMENT_LEN]);
    /// out = a * b
    fn multiply(&self, out: &mut Self::Element, a: &Self::Element, b: &Self::Element);
    /// out = table[index], read in the same way for every index
    fn select(&self, out: &mut Self::Element, table: &[Self::Element], index: u8);
}

/// Bits of the exponent that are looked at together: 16 powers of the base are at hand.
const WINDOW: usize = 4;

/// base^x: from the highest window down, square four times, multiply by a power of the base.
pub(crate) fn power<F: Arithmetic>(
    field: &F,
    base: &[u8; ELEMENT_LEN],
    exponent: &[u8; EXPONENT_LEN],
    out: &mut [u8; ELEMENT_LEN],
) {
    let mut table = vec![field.one(); 1 << WINDOW];
    table[1] = field.read(base);
    for i in 2..table.len() {
        let (done, next) = table.split_at_mut(i);
        field.multiply(&mut next[0], &done[i - 1], &done[1]);
    }

    let mut work = Work::new(field);
    let digits = exponent.iter().flat_map(|byte| [byte >> WINDOW, byte & 0x0f]);
    for (i, digit) in digits.enumerate() {
        if i > 0 {
            (0..WINDOW).for_each(|_| work.square(field));
        }
        work.multiply_by_selected(field, &table, digit);
    }
    field.write(&work.product, out);
    table.iter_mut().for_each(Zeroize::zeroize);
}

/// Rows of bits the exponent is cut into.
const TEETH: usize = 6;

/// Bits in a row: 6 * 43 = 258, the least that covers 256.
const COLUMNS: usize = (8 * EXPONENT_LEN).div_ceil(TEETH);

/// Powers of 2 that make 2^x cheap (Lim and Lee, CRYPTO '94, section 3): entry b_5 ... b_0 is the
/// product of 2^(2^(43 i)) for all i with b_i = 1. One column of the exponent's six rows is one
/// look-up, so 43 squarings and 43 multiplications do, for a table of 64 elements.
pub(crate) struct Comb<F: Arithmetic>(Vec<F::Element>);

impl<F: Arithmetic> Comb<F> {
    pub(crate) fn new(field: &F) -> Self {
        let mut table = vec![field.one(); 1 << TEETH];
        let mut tooth = Work { product: field.read(&TWO), spare: field.one() };
        for i in 0..TEETH {
            let bit = 1 << i;
            for low in 0..bit {
                let mut entry = field.one();
                field.multiply(&mut entry, &table[low], &tooth.product);
                table[bit + low] = entry;
            }
            (0..COLUMNS).for_each(|_| tooth.square(field));
        }
        Self(table)
    }

    /// 2^x.
    pub(crate) fn power(
        &self,
        field: &F,
        exponent: &[u8; EXPONENT_LEN],
        out: &mut [u8; ELEMENT_LEN],
    ) {
        let mut work = Work::new(field);
        for column in (0..COLUMNS).rev() {
            if column + 1 < COLUMNS {
                work.square(field);
            }
            let mut digit = 0;
            for tooth in 0..TEETH {
                let position = COLUMNS * tooth + column;
                // The position is public; the bit is not, and only shifts and masks see it.
                if position < 8 * EXPONENT_LEN {
                    let byte = exponent[EXPONENT_LEN - 1 - position / 8];
                    digit |= ((byte >> (position % 8)) & 1) << tooth;
                }
            }
            work.multiply_by_selected(field, &self.0, digit);
            digit.zeroize();
        }
        field.write(&work.product, out);
    }
}

/// The product so far, and room for the next; wiped when done.
struct Work<E: Zeroize> {
    product: E,
    spare: E,
}

impl<E: Clone + Zeroize> Work<E> {
    fn new<F: Arithmetic<Element = E>>(field: &F) -> Self {
        Self { product: field.one(), spare: field.one() }
    }

    fn square<F: Arithmetic<Element = E>>(&mut self, field: &F) {
        field.multiply(&mut self.spare, &self.product, &self.product);
        core::mem::swap(&mut self.product, &mut self.spare);
    }

    fn multiply_by_selected<F: Arithmetic<Element = E>>(
        &mut self,
        field: &F,
        table: &[E],
        digit: u8,
    ) {
        let mut factor = field.one();
        field.select(&mut factor, table, digit);
        field.multiply(&mut self.spare, &self.product, &factor);
        core::mem::swap(&mut self.product, &mut self.spare);
        factor.zeroize();
    }
}

impl<E: Zeroize> Drop for Work<E> {
    fn drop(&mut self) {
        self.product.zeroize();
        self.spare.zeroize();
    }
}
