/** The CRC-32 of bytes of which the sums of their parts are known, without reading them again. */

const POLYNOMIAL = 0xedb88320;
const ONE = 0x80000000;

/** Moves a sum over as many zero bytes; the same for all parts of one length, so that it is worth keeping. */
export type Shift = number & { readonly __shift: never };

/** The product of two polynomials, whose highest power is the lowest bit, by that of the sum. */
function product(a: number, b: number): number {
  let [factor, sum] = [b, 0];
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) sum ^= factor;
    factor = (factor & 1) === 0 ? factor >>> 1 : (factor >>> 1) ^ POLYNOMIAL;
  }
  return sum >>> 0;
}

/** x to the powers of two: of one bit, of two bits, of four and so on. */
const POWERS: readonly number[] = powers();

function powers(): number[] {
  const found = [ONE >>> 1];
  for (let n = 1; n < 32; n++) found.push(product(found[n - 1] ?? 0, found[n - 1] ?? 0));
  return found;
}

export function shiftOver(bytes: number): Shift {
  let shift = ONE;
  // A byte is eight bits: the third power of two.
  for (let [left, n] = [bytes, 3]; left > 0; left = Math.floor(left / 2), n += 1) {
    if (left % 2 === 1) shift = product(POWERS[n % 32] ?? 0, shift);
  }
  return shift as Shift;
}

/** The sum of what has the sum `first` with a part behind it, of which the sum and the shift over its length are given. */
export function joinedCrc(first: number, second: number, over: Shift): number {
  return (product(over, first) ^ second) >>> 0;
}
