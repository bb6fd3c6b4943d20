/// How a descriptor is stored: in all its 64 bits, or in 32 where that loses nothing.
protocol TableWord: BitwiseCopyable {
  /// The empty entry.
  static var empty: Self { get }

  /// The word that stands for `descriptor`, nil where there is none.
  init?(_ descriptor: UInt64)

  /// The descriptor, bit for bit the one that the word was made of.
  var descriptor: UInt64 { get }

  /// Whether the word stands for the empty entry.
  var isEmpty: Bool { get }

  /// The index of the table that the word stands for, nil where it stands for anything else. Asked above level 3 only.
  var table: UInt32? { get }
}

/// A descriptor in 64 bits: any.
struct WideWord: TableWord {
  private let bits: UInt64

  @inline(__always) static var empty: WideWord { WideWord(0)! }

  @inline(__always)
  init?(_ descriptor: UInt64) { bits = descriptor }

  @inline(__always) var descriptor: UInt64 { bits }
  @inline(__always) var isEmpty: Bool { bits == 0 }

  @inline(__always) var table: UInt32? {
    let entry = Stage2Descriptor(rawValue: bits)
    return entry.isTable(level: 0) ? entry.tableIndex : nil
  }
}

/// A descriptor in 32 bits: an empty entry, one that is locked or otherwise marked without an annotation, the
/// entry of a table, and a leaf whose frame is unknown. A replay knows no frames, so all that it makes is of these.
///
/// ```
/// 31     a leaf: bits 17..12 are the descriptor's 58..53, bits 11..0 are its 11..0
/// 30     a table: bits 29..0 are its index
/// 3..0   else: the type of an invalid entry, the descriptor's 63..60
/// ```
struct NarrowWord: TableWord {
  private let bits: UInt32

  private static var leafMark: UInt32 { 1 << 31 }
  private static var tableMark: UInt32 { 1 << 30 }
  private static var low: UInt64 { 0xfff }
  private static var high: UInt64 { 0x3f << 53 }
  private static var output: UInt64 { Stage2Descriptor.outputMask }
  /// What a table's descriptor consists of besides its index.
  private static var tableBits: UInt64 { Stage2Descriptor.type | Stage2Descriptor.valid }

  @inline(__always) static var empty: NarrowWord { NarrowWord(0)! }

  @inline(__always)
  init?(_ descriptor: UInt64) {
    let others = descriptor & ~Self.output
    if descriptor & Self.output == Self.output, others & ~(Self.low | Self.high) == 0 {
      bits =
        Self.leafMark | UInt32(truncatingIfNeeded: others & Self.low)
        | UInt32(truncatingIfNeeded: others &>> 41)
    } else if descriptor &<< 4 == 0 {
      bits = UInt32(truncatingIfNeeded: descriptor &>> 60)
    } else if others == Self.tableBits, descriptor &>> 12 < UInt64(Self.tableMark) {
      bits = Self.tableMark | UInt32(truncatingIfNeeded: descriptor &>> 12)
    } else {
      return nil
    }
  }

  @inline(__always) var descriptor: UInt64 {
    let wide = UInt64(bits)
    if bits & Self.leafMark != 0 { return Self.output | wide & Self.low | (wide &<< 41) & Self.high }
    if bits & Self.tableMark != 0 { return (wide & UInt64(Self.tableMark &- 1)) &<< 12 | Self.tableBits }
    return wide &<< 60
  }

  @inline(__always) var isEmpty: Bool { bits == 0 }

  @inline(__always) var table: UInt32? {
    bits &>> 30 == 1 ? bits & (Self.tableMark &- 1) : nil
  }
}
