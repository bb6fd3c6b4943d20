import SeededRandom

/// A way to damage a file.
enum Mutation: String, CaseIterable, Codable, Sendable {
  /// The file ends early.
  case truncate
  /// Some bits are the other way round.
  case flipBits
  /// There are bytes that do not belong there.
  case insert
  /// Bytes are missing.
  case remove
  /// A run of bytes is zero.
  case zero
  /// A word holds a number at the edge of what it can hold.
  case extremes

  /// The mutant of `bytes` with the number `seed`: the same one for the same number.
  func apply(to bytes: [UInt8], seed: UInt64) -> [UInt8] {
    var random = SplitMix64(seed: seed)
    var mutant = bytes
    func place() -> Int { Int(random.next() % UInt64(bytes.count)) }
    switch self {
    case .truncate: mutant.removeLast(bytes.count - place())
    case .flipBits:
      for _ in 0...(random.next() % 8) { mutant[place()] ^= 1 << UInt8(random.next() % 8) }
    case .insert:
      let count = 1 + random.next() % 64
      mutant.insert(
        contentsOf: (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }, at: place())
    case .remove:
      let start = place()
      mutant.removeSubrange(start..<min(start + 1 + Int(random.next() % 64), mutant.count))
    case .zero:
      let start = place()
      for index in start..<min(start + 1 + Int(random.next() % 256), mutant.count) { mutant[index] = 0 }
    case .extremes:
      let start = place()
      let values: [UInt64] = [
        .max, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, 0xffff_ffff, 0x8000_0000, 1, 0,
      ]
      let value = values[Int(random.next() % UInt64(values.count))]
      let size = 1 << Int(random.next() % 4)
      for index in start..<min(start + size, mutant.count) {
        mutant[index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (index - start)))
      }
    }
    return mutant
  }
}
