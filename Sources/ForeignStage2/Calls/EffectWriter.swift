/// Writes what a follower tells of each call into a ring.
struct EffectWriter {
  private var ring: WordRing
  /// Names that the reader knows.
  private var announced = 0

  init(_ ring: WordRing) { self.ring = ring }

  /// What is told of a call.
  struct Told {
    var call: StageCall
    var result: Int64
    var digest: UInt64
    var hypercallSum: UInt64
    var leaf: UInt64 = 0
    var leafFrame: UInt64 = 0
    var items: Int
    var keptItems: Int
    var hasPanicked = false

    /// Whether the replay goes on by another answer.
    var isUnlikeModel: Bool { call.function.isAnswered && result != Int64(call.expected) }
  }

  /// Writes a record, and before it the names that are new.
  ///
  /// - Parameters:
  ///   - kept: the words of the effects that are told one by one.
  ///   - untold: the others.
  ///   - kinds: all of them by kinds, where there are others.
  /// - Returns: whether there was room for all of it; else it is to be tried again.
  @inline(__always)
  mutating func write(
    _ told: borrowing Told, kept: UnsafeBufferPointer<UInt64>, untold: borrowing UntoldEffects,
    _ kinds: borrowing KindDigests,
    names: UnsafeMutablePointer<EffectNames>
  ) -> Bool {
    if announced < names.pointee.all.count, !announce(names) { return false }
    let others = untold.isEmpty ? [] : untold.sums.indices.filter { untold.sums[$0].count > 0 }
    var count = EffectRecord.headWords + kept.count
    if !others.isEmpty { count += UntoldEffects.words * others.count + KindDigests.words }
    guard let place = ring.reserve(count) else { return false }
    place[0] = UInt64(count) | EffectRecord.kind << 32 | (told.hasPanicked ? 1 << 40 : 0)
    place[1] = told.call.number
    place[2] = UInt64(bitPattern: told.result)
    place[3] = told.digest
    place[4] = told.hypercallSum
    place[5] = told.leaf
    place[6] = told.leafFrame
    place[7] = UInt64(told.items) & 0xffff_ffff | UInt64(told.keptItems) << 32
    place[8] =
      UInt64(others.count) | UInt64(told.call.function.rawValue) << 16
      | (told.call.isCorrection ? 1 << 24 : 0) | (told.isUnlikeModel ? 1 << 25 : 0) | UInt64(told.call.vm)
      << 32
    if let base = kept.baseAddress {
      (place + EffectRecord.headWords).update(from: base, count: kept.count)
    }
    var end = place + EffectRecord.headWords + kept.count
    for name in others {
      UntoldEffects.write(name, untold.sums[name], at: end)
      end += UntoldEffects.words
    }
    if !others.isEmpty { for (kind, digest) in kinds.values.enumerated() { end[kind] = digest.value } }
    ring.publish(count)
    return true
  }

  /// Writes the record of a call that did nothing.
  mutating func writeMark(_ call: StageCall) -> Bool {
    guard let place = ring.reserve(EffectRecord.headWords) else { return false }
    for index in 0..<EffectRecord.headWords { place[index] = 0 }
    place[0] = UInt64(EffectRecord.headWords) | EffectRecord.kind << 32
    place[1] = call.number
    place[8] = UInt64(call.function.rawValue) << 16 | 1 << 24 | UInt64(call.vm) << 32
    ring.publish(EffectRecord.headWords)
    return true
  }

  @inline(never)
  private mutating func announce(_ names: UnsafeMutablePointer<EffectNames>) -> Bool {
    while announced < names.pointee.all.count {
      let words = NameRecord.words(UInt32(announced), names.pointee.all[announced])
      guard let place = ring.reserve(words.count) else { return false }
      words.withUnsafeBufferPointer { place.update(from: $0.baseAddress!, count: words.count) }
      ring.publish(words.count)
      announced += 1
    }
    return true
  }
}
