import KVMTypes
import ModelOracle
import SeededRandom
import Testing

@testable import Stage2Model

/// Random insertions, removals and range walks against a sorted array.
struct MappingTreePropertyTests {
  /// Which frames a case prefers: the balancing meets other cases with each.
  enum Keys: CaseIterable { case sequential, clustered, scattered }

  @Test(arguments: RandomSeed.all, Keys.allCases)
  func plainTreeAgainstArray(seed: UInt64, keys: Keys) throws {
    var random = SplitMix64(seed: seed)
    var tree = MappingRBTree()
    var array: [UInt64] = []
    for step in 0..<4000 as Range<UInt64> {
      let gfn = Self.gfn(keys, step, &random)
      let place = array.firstIndex { $0 >= gfn } ?? array.count
      let present = place < array.count && array[place] == gfn
      if random.chance(60) {
        let inserted = tree.insert(GFN(gfn), pfn: PFN(gfn + 7))
        #expect((inserted == nil) == present, "seed \(seed) step \(step)")
        if !present { array.insert(gfn, at: place) }
      } else if let id = tree.findFirst(from: GFN(gfn)) {
        try #require(place < array.count, "seed \(seed) step \(step)")
        let mapping = tree[id]
        #expect(mapping == Mapping(gfn: GFN(array[place]), pfn: PFN(array[place] + 7), pages: 1))
        tree.remove(id)
        array.remove(at: place)
      } else {
        #expect(place == array.count, "seed \(seed) step \(step)")
      }
      if step % 97 == 0 {
        check(tree.checkInvariants(), [])
        let last = gfn + random.below(64)
        var found: [UInt64] = []
        var id = tree.iterFirst(from: GFN(gfn), through: GFN(last))
        while let here = id {
          found.append(tree[here].gfn.rawValue)
          id = tree.iterNext(here, through: GFN(last))
        }
        #expect(found == array.filter { $0 >= gfn && $0 <= last }, "seed \(seed) step \(step)")
      }
    }
    check(tree.checkInvariants(), [])
    #expect(tree.count == array.count)
  }

  @Test(arguments: RandomSeed.all, Keys.allCases)
  func intervalTreeAgainstArray(seed: UInt64, keys: Keys) throws {
    var random = SplitMix64(seed: seed)
    var tree = MappingIntervalTree()
    // In tree order: by start, later insertions after earlier ones.
    var array: [(mapping: Mapping, id: MappingID)] = []
    for step in 0..<4000 as Range<UInt64> {
      let gfn = Self.gfn(keys, step, &random)
      let pages: UInt64 = random.chance(20) ? 512 : 1
      if random.chance(55) || array.isEmpty {
        // Overlaps are allowed here although the users never make any: the tree must not care.
        let mapping = Mapping(gfn: GFN(gfn), pfn: random.chance(50) ? nil : PFN(step), pages: pages)
        let place = array.firstIndex { $0.mapping.gfn > mapping.gfn } ?? array.count
        array.insert((mapping, tree.insert(mapping)), at: place)
      } else {
        let victim = array.remove(at: Int(random.below(UInt64(array.count))))
        let mapping = tree[victim.id]
        #expect(mapping == victim.mapping, "seed \(seed) step \(step)")
        tree.remove(victim.id)
      }
      if step % 97 == 0 { check(tree.checkInvariants(), []) }
      if step % 13 == 0 {
        let last = GFN(gfn + random.below(2048))
        var found: [MappingID] = []
        var id = tree.iterFirst(from: GFN(gfn), through: last)
        while let here = id {
          found.append(here)
          id = tree.iterNext(here, from: GFN(gfn), through: last)
        }
        let expected = array.filter { $0.mapping.gfn <= last && $0.mapping.last >= GFN(gfn) }
        #expect(found == expected.map(\.id), "seed \(seed) step \(step)")
      }
    }
    check(tree.checkInvariants(), [])
    var walked: [MappingID] = []
    tree.forEach { id, _ in walked.append(id) }
    #expect(walked == array.map(\.id), "seed \(seed)")
  }

  static func gfn(_ keys: Keys, _ step: UInt64, _ random: inout SplitMix64) -> UInt64 {
    switch keys {
    case .sequential: step
    case .clustered: random.below(8) << 20 | random.below(256)
    case .scattered: random.below(1 << 30)
    }
  }
}
