/// The hexadecimal digits that eight bytes of text begin with, found and read all at once.
struct HexDigits: BitwiseCopyable {
  /// How many there are, 0 to 8.
  let count: Int
  /// The number that they are.
  let value: UInt64

  private static let ones: UInt64 = 0x0101_0101_0101_0101
  private static let highBits = ones << 7

  /// - Parameter word: the bytes, the first one lowest.
  @inline(__always)
  init(_ word: UInt64) {
    // Each byte has seven bits here, so that what is added to it carries into its own eighth: it is set if the sum is 0x80 or more.
    let bytes = word & ~Self.highBits
    let letters = bytes | Self.ones &* 0x20
    let isDigit = (bytes &+ Self.ones &* (0x80 - 0x30)) & ~(bytes &+ Self.ones &* (0x80 - 0x3a))
    let isLetter = (letters &+ Self.ones &* (0x80 - 0x61)) & ~(letters &+ Self.ones &* (0x80 - 0x67))
    let others = ~(isDigit | isLetter) & Self.highBits | word & Self.highBits
    count = others.trailingZeroBitCount &>> 3
    // Digits have their number in the lower half, letters 9 less; what is no digit is shifted out, zeros come before the others.
    let digits = count == 0 ? 0 : word &<< UInt64(64 &- 8 &* count)
    var value = (digits & 0x0f0f_0f0f_0f0f_0f0f) &+ (digits &>> 6 & Self.ones) &* 9
    // Pairs, then fours, then all: the first digit is the highest.
    value = (value &<< 4 | value &>> 8) & 0x00ff_00ff_00ff_00ff
    value = (value &<< 8 | value &>> 16) & 0x0000_ffff_0000_ffff
    self.value = (value &<< 16 | value &>> 32) & 0xffff_ffff
  }
}
