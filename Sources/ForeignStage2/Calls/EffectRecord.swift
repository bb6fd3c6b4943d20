package import KVMTypes
internal import Stage2Model

/// What a follower tells of one call, as words in a ring.
///
/// | word | holds |
/// |---|---|
/// | 0 | how many words, kind of record, whether the kernel stopped |
/// | 1 | the call's number |
/// | 2 | its result |
/// | 3, 4 | digests of all effects in their order, and of the hypercalls' names in any |
/// | 5, 6 | the leaf behind it: level, flags and rights; its frame |
/// | 7 | how many effects there were; how many are told one by one |
/// | 8 | how many names have effects that are not told one by one; the call's function; whether it is a correction, whether the model returned something else; the VM |
/// | 9... | the effects: name and number of arguments, result, arguments; then these names with their sums, and the digest of each kind |
///
/// Invariant: `base` points to a record of `length` words, which are more than `headWords`, until the reader goes on. Nothing behind them
/// is looked at, whatever they say.
package struct EffectRecord {
  static let headWords = 9
  static let kind: UInt64 = 1

  private let base: UnsafePointer<UInt64>
  private let length: Int

  /// The record at a place of a ring; nil where it is none.
  init?(at base: UnsafePointer<UInt64>) {
    length = Int(base[0] & 0xffff_ffff)
    self.base = base
    if length < Self.headWords { return nil }
  }

  @inline(__always) package var number: UInt64 { base[1] }
  @inline(__always) package var result: Int64 { Int64(bitPattern: base[2]) }
  @inline(__always) var digest: UInt64 { base[3] }
  @inline(__always) var hypercallSum: UInt64 { base[4] }
  @inline(__always) var leaf: UInt64 { base[5] }
  @inline(__always) var leafFrame: UInt64 { base[6] }
  @inline(__always) var hasPanicked: Bool { base[0] >> 40 & 1 != 0 }
  @inline(__always) var vm: UInt32 { UInt32(base[8] >> 32) }
  @inline(__always) var isCorrection: Bool { base[8] >> 24 & 1 != 0 }
  @inline(__always) var isUnlikeModel: Bool { base[8] >> 25 & 1 != 0 }
  @inline(__always) var function: StageCall.Function? {
    StageCall.Function(rawValue: UInt8(truncatingIfNeeded: base[8] >> 16))
  }
  /// Names of which effects are not told one by one.
  private var untoldCount: Int { Int(base[8] & 0xffff) }
  @inline(__always) var itemCount: Int { Int(base[7] & 0xffff_ffff) }

  /// One effect.
  package struct Item: Hashable, Sendable {
    /// Its name's number at this side.
    package var name: UInt32
    package var result: Int64
    package var arguments: [UInt64]
  }

  /// Calls `body` for each effect that is told by itself.
  @inline(__always)
  func forEachItem(
    _ body: (_ name: UInt32, _ result: Int64, _ arguments: UnsafeBufferPointer<UInt64>) -> Void
  ) {
    var place = base + Self.headWords
    let end = base + length
    for _ in 0..<Int(base[7] >> 32) {
      guard end - place >= 2, Int(place[0] >> 32) <= end - place - 2 else { return }
      let count = Int(place[0] >> 32)
      body(
        UInt32(truncatingIfNeeded: place[0]), Int64(bitPattern: place[1]),
        UnsafeBufferPointer(start: place + 2, count: count))
      place += 2 + count
    }
  }

  /// Calls `body` for each name of which effects are not told by themselves.
  func forEachUntold(_ body: (_ name: UInt32, _ sum: EffectSum) -> Void) {
    guard var place = untold else { return }
    for _ in 0..<untoldCount {
      let (name, sum) = UntoldEffects.sum(at: place)
      body(name, sum)
      place += UntoldEffects.words
    }
  }

  /// Where these names are; nil where there are none.
  private var untold: UnsafePointer<UInt64>? {
    let words = KindDigests.words + UntoldEffects.words * untoldCount
    return untoldCount > 0 && words <= length - Self.headWords ? base + length - words : nil
  }

  /// The digests of each kind; nil where all effects are told one by one.
  var kindDigests: [UInt64]? {
    guard untold != nil else { return nil }
    return Array(UnsafeBufferPointer(start: base + length - KindDigests.words, count: KindDigests.words))
  }

  /// The effects, taken out of the ring.
  var items: [Item] {
    var items: [Item] = []
    forEachItem { items.append(Item(name: $0, result: $1, arguments: Array($2))) }
    return items
  }

  // MARK: A leaf in a word

  /// The leaf behind a call.
  package struct Leaf: Hashable, Sendable {
    package var isValid: Bool
    package var isYoung: Bool
    package var level: Int8
    package var prot: Stage2Prot
    package var frame: UInt64

    /// `no leaf, the walk ends at level 2`, `leaf of level 3, RW, young, frame 0x8000`.
    package var words: String {
      let walk: Stage2Walk =
        isValid
        ? .leaf(level: TranslationLevel(level), prot: prot, young: isYoung)
        : .invalid(level: TranslationLevel(level))
      return walk.words + (isValid ? ", frame 0x\(String(frame, radix: 16))" : "")
    }
  }

  /// The leaf in words 5 and 6; nil where the call is of no address.
  package var walked: Leaf? {
    guard leaf & 4 != 0 else { return nil }
    return Leaf(
      isValid: leaf & 1 != 0, isYoung: leaf & 2 != 0, level: Int8(truncatingIfNeeded: leaf >> 8),
      prot: Stage2Prot(rawValue: leaf >> 16 & 0x3f | (leaf >> 24 & 0xf) << 55), frame: leafFrame)
  }

  /// The word of a leaf.
  static func word(isValid: Bool, isYoung: Bool, level: Int8, prot: Stage2Prot) -> UInt64 {
    let flags: UInt64 = 4 | (isValid ? 1 : 0) | (isValid && isYoung ? 2 : 0)
    let place = UInt64(UInt8(bitPattern: level)) << 8
    guard isValid else { return flags | place }
    return flags | place | (prot.rawValue & 0x3f) << 16 | (prot.rawValue >> 55 & 0xf) << 24
  }
}

/// The name of an effect, told before the first record that has its number.
struct NameRecord {
  static let kind: UInt64 = 2

  /// The words of a name with that number.
  static func words(_ id: UInt32, _ name: EffectNames.Name) -> [UInt64] {
    let bytes = Array(name.text.utf8.prefix(1024))
    var words = [UInt64](repeating: 0, count: 3 + (bytes.count + 7) / 8)
    words[0] = UInt64(words.count) | kind << 32
    words[1] = UInt64(id) | UInt64(name.kind.rawValue) << 32
    words[2] = UInt64(bytes.count) | UInt64(name.line) << 32
    for (place, byte) in bytes.enumerated() { words[3 + place / 8] |= UInt64(byte) << (8 * (place % 8)) }
    return words
  }

  /// The name that a record tells; nil where it is malformed.
  static func name(at base: UnsafePointer<UInt64>) -> (id: UInt32, name: EffectNames.Name)? {
    let words = Int(base[0] & 0xffff_ffff)
    let count = Int(base[2] & 0xffff_ffff)
    guard words >= 3, count <= 8 * (words - 3),
      let kind = EffectKind(rawValue: UInt8(truncatingIfNeeded: base[1] >> 32))
    else { return nil }
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: base[3 + $0 / 8] >> (8 * ($0 % 8))) }
    let name = EffectNames.Name(kind, String(decoding: bytes, as: UTF8.self), line: UInt32(base[2] >> 32))
    return (UInt32(truncatingIfNeeded: base[1]), name)
  }
}
