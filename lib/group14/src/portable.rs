//! The arithmetic of crypto-bigint: constant time on every processor.

use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams, FixedMontyParams};
use crypto_bigint::{CtAssign, CtEq, U2048};

use crate::power::Arithmetic;
use crate::{ELEMENT_LEN, MODULUS};

/// The modulus, as crypto-bigint wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group14;

impl ConstMontyParams<{ U2048::LIMBS }> for Group14 {
    const LIMBS: usize = U2048::LIMBS;
    const PARAMS: FixedMontyParams<{ U2048::LIMBS }> = FixedMontyParams::new_vartime(MODULUS);
}

type Element = ConstMontyForm<Group14, { U2048::LIMBS }>;

/// Arithmetic without any particular instruction.
pub(crate) struct Portable;

impl Arithmetic for Portable {
    type Element = Element;

    fn one(&self) -> Element {
        Element::ONE
    }

    fn read(&self, bytes: &[u8; ELEMENT_LEN]) -> Element {
        Element::new(&U2048::from_be_slice(bytes))
    }

    fn write(&self, element: &Element, bytes: &mut [u8; ELEMENT_LEN]) {
        bytes.copy_from_slice(element.retrieve().to_be_bytes().as_ref());
    }

    fn multiply(&self, out: &mut Element, a: &Element, b: &Element) {
        *out = a.mul(b);
    }

    fn select(&self, out: &mut Element, table: &[Element], index: u8) {
        for (i, entry) in table.iter().enumerate() {
            out.ct_assign(entry, (i as u8).ct_eq(&index));
        }
    }
}
