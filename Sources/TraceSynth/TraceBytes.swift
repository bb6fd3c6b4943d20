/// Bytes of a file that grows at its end, words in the file's byte order.
public struct TraceBytes: Sendable {
  /// What has been written so far.
  public private(set) var bytes: [UInt8] = []
  /// The order in which words are written.
  public let byteOrder: TraceFlavour.ByteOrder

  /// Nothing yet.
  public init(_ byteOrder: TraceFlavour.ByteOrder) {
    self.byteOrder = byteOrder
  }

  /// How many bytes have been written.
  public var count: Int { bytes.count }

  /// Appends one byte.
  public mutating func u8(_ value: UInt8) { bytes.append(value) }

  /// Appends a 16-bit word.
  public mutating func u16(_ value: UInt16) { word(UInt64(value), bytes: 2) }

  /// Appends a 32-bit word.
  public mutating func u32(_ value: UInt32) { word(UInt64(value), bytes: 4) }

  /// Appends a 64-bit word.
  public mutating func u64(_ value: UInt64) { word(value, bytes: 8) }

  /// Appends the low `count` bytes of `value`.
  public mutating func word(_ value: UInt64, bytes count: Int) {
    for i in 0..<count {
      let shift = byteOrder == .little ? 8 * i : 8 * (count - 1 - i)
      bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
    }
  }

  /// Appends raw bytes.
  public mutating func raw(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

  /// Appends the text without an end mark.
  public mutating func text(_ text: String) { bytes.append(contentsOf: text.utf8) }

  /// Appends the text and a NUL.
  public mutating func cString(_ text: String) {
    bytes.append(contentsOf: text.utf8)
    bytes.append(0)
  }

  /// Appends a 64-bit length and the text.
  public mutating func sized64(_ text: String) {
    u64(UInt64(text.utf8.count))
    self.text(text)
  }

  /// Appends a 32-bit length and the text.
  public mutating func sized32(_ text: String) {
    u32(UInt32(text.utf8.count))
    self.text(text)
  }

  /// Appends zeros up to the next multiple of `size`, counted from the start of these bytes.
  public mutating func pad(to size: Int) {
    let rest = count % size
    if rest != 0 { bytes.append(contentsOf: repeatElement(0, count: size - rest)) }
  }
}
