import KVMTrace
import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("Memslots of a VM")
struct MemslotTableTests {
  static func slot(_ base: UInt64, _ pages: UInt64, hva: UInt64, id: Int16 = 0) -> Memslot {
    Memslot(id: id, base: GFN(base), pages: pages, hva: HVA(hva), flags: [], basis: .recorded)
  }

  static func table(_ slots: [Memslot]) -> MemslotTable {
    var table = MemslotTable(pageSize: .size4K)
    for slot in slots { table.insert(slot) }
    return table
  }

  static func overlaps(_ table: MemslotTable, _ start: UInt64, _ end: UInt64) -> [[UInt64]] {
    var frames: [[UInt64]] = []
    table.overlaps(HVARange(start: HVA(start), end: HVA(end))).forEach {
      frames.append([$0.start.rawValue, $0.end.rawValue])
    }
    return frames
  }

  @Test("A frame belongs to the slot around it, first and last one included")
  func frames() {
    let table = Self.table([Self.slot(100, 10, hva: 0x10000), Self.slot(200, 1, hva: 0x90000, id: 1)])
    #expect([99, 100, 109, 110, 200, 201].map { table.slot(GFN($0))?.id } == [nil, 0, 0, nil, 1, nil])
  }

  @Test("Slots are kept in the order of their frames, whatever the order of creation")
  func order() {
    let table = Self.table([300, 100, 200].map { Self.slot($0, 10, hva: 0x100_0000 - $0 << 12) })
    #expect(table.slots.map(\.base.rawValue) == [100, 200, 300])
  }

  @Test("Neighbours do not overlap; one frame in common is enough")
  func overlap() {
    let table = Self.table([Self.slot(100, 10, hva: 0x10000)])
    #expect(!table.overlaps(GFN(90), 10))
    #expect(table.overlaps(GFN(90), 11))
    #expect(table.overlaps(GFN(109), 1))
    #expect(!table.overlaps(GFN(110), 10))
    #expect(table.overlaps(GFN(0), 1000))
  }

  @Test("A range of host addresses is rounded outwards to the slot's pages")
  func rounding() {
    let table = Self.table([Self.slot(100, 10, hva: 0x10000)])
    #expect(Self.overlaps(table, 0x10fff, 0x11000) == [[100, 101]])
    #expect(Self.overlaps(table, 0x10fff, 0x11001) == [[100, 102]])
    #expect(Self.overlaps(table, 0, 0x10001) == [[100, 101]])
    #expect(Self.overlaps(table, 0x19fff, .max) == [[109, 110]])
    #expect(Self.overlaps(table, 0x1a000, .max).isEmpty)
    #expect(Self.overlaps(table, 0, 0x10000).isEmpty)
    #expect(Self.overlaps(table, 0, .max) == [[100, 110]])
  }

  @Test("Slots of the same host memory are all found, in the order of host addresses")
  func aliases() {
    let table = Self.table([
      Self.slot(500, 100, hva: 0x100000), Self.slot(100, 2, hva: 0x120000),
      Self.slot(900, 100, hva: 0x100000),
    ])
    #expect(Self.overlaps(table, 0x121000, 0x122000) == [[533, 534], [933, 934], [101, 102]])
    #expect(Self.overlaps(table, 0x150000, 0x151000) == [[580, 581], [980, 981]])
  }

  @Test("A slot that goes is found no more, and its number is free")
  func removal() {
    var table = Self.table([Self.slot(100, 10, hva: 0x10000, id: 3), Self.slot(200, 10, hva: 0x10000, id: 4)])
    let removed = [table.remove(base: GFN(101)), table.remove(base: GFN(100))]
    #expect(removed.map { $0?.id } == [nil, 3])
    #expect(!table.contains(id: 3))
    #expect(table.contains(id: 4))
    #expect(table.slot(GFN(100)) == nil)
    #expect(Self.overlaps(table, 0x10000, 0x11000) == [[200, 201]])
  }

  @Test("Both orders agree with a search of all slots, for many slots that come and go")
  func random() {
    var random = SystemRandomNumberGenerator()
    let seed = random.next()
    var state = seed
    func next(_ bound: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % bound
    }
    var table = MemslotTable(pageSize: .size4K)
    var slots: [Memslot] = []
    for step in 0..<2000 {
      let base = next(200) * 8
      if next(3) == 0 {
        let removed = table.remove(base: GFN(base))
        #expect(removed == slots.first { $0.base == GFN(base) })
        slots.removeAll { $0.base == GFN(base) }
      } else if !table.overlaps(GFN(base), 8) {
        let slot = Self.slot(base, 1 + next(8), hva: next(100) << 12, id: Int16(truncatingIfNeeded: step))
        table.insert(slot)
        slots.append(slot)
      }
      let start = next(110) << 12 + next(4096)
      let range = HVARange(start: HVA(start), end: HVA(start + 1 + next(5) << 12))
      let expected = slots.sorted { ($0.hva!, $0.base) < ($1.hva!, $1.base) }
        .compactMap { $0.frames(range, .size4K) }.map { [$0.start.rawValue, $0.end.rawValue] }
      #expect(Self.overlaps(table, range.start.rawValue, range.end.rawValue) == expected, "seed \(seed)")
    }
  }

  @Test("A kernel has no slot beyond 52 bits, of 2^31 pages, or that wraps around")
  func possible() {
    #expect(Self.slot(0, 1, hva: 0).isPossible(.size4K))
    #expect(Self.slot((1 << 40) - 1, 1, hva: 0).isPossible(.size4K))
    #expect(!Self.slot(1 << 40, 1, hva: 0).isPossible(.size4K))
    #expect(!Self.slot((1 << 40) - 1, 2, hva: 0).isPossible(.size4K))
    #expect(!Self.slot(1 << 36, 1, hva: 0).isPossible(.size64K))
    #expect(!Self.slot(0, 0, hva: 0).isPossible(.size4K))
    #expect(!Self.slot(0, 1 << 31, hva: 0).isPossible(.size4K))
    #expect(!Self.slot(.max, .max, hva: .max).isPossible(.size4K))
    #expect(!Self.slot(0, 2, hva: .max - 0x1fff + 1).isPossible(.size4K))
  }
}
