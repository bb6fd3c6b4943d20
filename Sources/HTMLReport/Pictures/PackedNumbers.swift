/// Numbers for the page's script: seven bits a byte, the lowest ones first, with the eighth set on all bytes but the last; then
/// compressed, in letters.
struct PackedNumbers {
  private var bytes: [UInt8] = []

  mutating func append(_ value: UInt32) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  /// A number that may be negative: twice as large, less one for what is below 0.
  mutating func append(signed value: Int) {
    append(UInt32(clamping: value < 0 ? -2 * value - 1 : 2 * value))
  }

  /// The letters.
  var text: String { Base64.text(Deflate.zlib(bytes)) }
}
