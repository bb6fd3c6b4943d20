import KVMTrace
import KVMTypes
import SeededRandom
import Stage2Replay
import Testing

@testable import Reporting

/// The searches for slots that no kernel has at one time, against comparing each slot with each.
@Suite("Conflicts of slots")
struct SlotConflictTests {
  private static func life(
    _ base: UInt64, _ pages: UInt64, _ time: Range<UInt64>, id: Int16? = nil, stays: Bool = false
  ) -> MemslotHistory.Slot {
    MemslotHistory.Slot(
      Memslot(id: id, base: GFN(base), pages: pages, hva: nil, flags: [], basis: .assumed),
      from: time.lowerBound == 0 ? nil : Nanoseconds(time.lowerBound),
      to: stays ? nil : Nanoseconds(time.upperBound))
  }

  private static func areContemporary(_ one: MemslotHistory.Slot, _ other: MemslotHistory.Slot) -> Bool {
    func end(_ life: MemslotHistory.Slot) -> UInt64 { life.to?.rawValue ?? .max }
    func begin(_ life: MemslotHistory.Slot) -> UInt64 { life.from?.rawValue ?? 0 }
    return begin(one) < end(other) && begin(other) < end(one)
  }

  @Test(
    "Two slots that overlap at a time, or have one number then, are found if there are any, and no others")
  func againstEachWithEach() {
    var random = SplitMix64(seed: 7)
    func draw(_ limit: UInt64) -> UInt64 { random.next() % limit }
    var found = (frames: 0, numbers: 0, none: 0)
    for _ in 0..<3000 {
      let slots = (0..<Int(2 + draw(9))).map { _ in
        let from = draw(20)
        return Self.life(
          draw(100), 1 + draw(9), from..<from + 1 + draw(6), id: draw(3) == 0 ? nil : Int16(draw(12)),
          stays: draw(8) == 0)
      }
      let pairs = slots.indices.flatMap { one in (0..<one).map { (one, $0) } }
        .filter { Self.areContemporary(slots[$0.0], slots[$0.1]) }
      let overlapping = pairs.filter { one, other in
        slots[one].slot.base < slots[other].slot.base + slots[other].slot.pages
          && slots[other].slot.base < slots[one].slot.base + slots[one].slot.pages
      }
      let likeNamed = pairs.filter {
        slots[$0.0].slot.id != nil && slots[$0.0].slot.id == slots[$0.1].slot.id
      }
      for (pair, all) in [
        (SlotConflict.ofFrames(slots), overlapping), (SlotConflict.ofNumbers(slots), likeNamed),
      ] {
        #expect((pair == nil) == all.isEmpty)
        guard let pair else { continue }
        #expect(all.contains { $0 == (max(pair.0, pair.1), min(pair.0, pair.1)) }, "\(slots) \(pair)")
      }
      found.frames += overlapping.isEmpty ? 0 : 1
      found.numbers += likeNamed.isEmpty ? 0 : 1
      found.none += overlapping.isEmpty && likeNamed.isEmpty ? 1 : 0
    }
    #expect(found.frames > 300 && found.numbers > 300 && found.none > 300, "\(found)")
  }

  @Test("The slot is found that comes while as many are there as a VM may have")
  func tooMany() {
    let slots = (0..<UInt64(9)).map { Self.life($0, 1, $0 + 1..<$0 + 4) }
    #expect(SlotConflict.firstBeyond(3, slots) == nil && SlotConflict.firstBeyond(2, slots) == 2)
  }

  @Test("A set of positions has those next to one, whatever lies between them")
  func positions() {
    for limit in [1, 63, 64, 65, 4_096, 4_097, 300_000] {
      var random = SplitMix64(seed: UInt64(limit))
      var set = PositionSet(limit: limit)
      var known: Set<Int> = []
      for _ in 0..<400 {
        let position = Int(random.next() % UInt64(limit))
        if random.next() & 3 == 0 {
          set.remove(position)
          known.remove(position)
        } else {
          set.insert(position)
          known.insert(position)
        }
        let asked = Int(random.next() % UInt64(limit))
        #expect(set.last(below: asked) == known.filter { $0 < asked }.max())
        #expect(set.first(above: asked) == known.filter { $0 > asked }.min())
      }
    }
  }
}
