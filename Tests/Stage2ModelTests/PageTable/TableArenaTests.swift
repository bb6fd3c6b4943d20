import KVMTypes
import SeededRandom
import Testing

@testable import Stage2Model

/// Tables of every form against dictionaries.
struct TableArenaTests {
  /// A descriptor of any kind, mostly of those that take 32 bits.
  private static func descriptor(_ random: inout SplitMix64, allowsWide: Bool) -> UInt64 {
    let attributes = (random.next() & 0x3f) << 53 | random.next() & 0xffd | 1
    switch random.below(allowsWide ? 8 : 5) {
    case 0, 1, 2: return Stage2Descriptor.outputMask | attributes
    case 3: return Stage2Descriptor.table(UInt32(random.below(1 << 30 as UInt64))).rawValue
    case 4: return Stage2Descriptor.invalid(random.chance(50) ? .locked : .poisoned).rawValue
    case 5: return (random.next() & 0xffff) << 12 | attributes
    case 6: return Stage2Descriptor.table(.max - UInt32(random.below(9 as UInt64))).rawValue
    default: return random.next() | 1
    }
  }

  @Test(arguments: [9, 11, 13] as [UInt64], [false, true])
  func againstDictionaries(bitsPerLevel: UInt64, allowsWide: Bool) {
    for seed in RandomSeed.all {
      var random = SplitMix64(seed: seed)
      var arena = TableArena(bitsPerLevel: bitsPerLevel)
      let size = 1 << Int(bitsPerLevel)
      var tables = [(arena.allocateFirst(2), [Int: UInt64]())]
      for _ in 0..<3 { tables.append((arena.allocate(isLastLevel: true), [:])) }
      for step in 0..<12_000 {
        let number = random.below(tables.count)
        let (table, model) = tables[number]
        // Offsets crowd in some tables, and tables grow to arrays in any case.
        let offset = random.chance(30) ? random.below(20) : random.below(size)
        #expect(arena.load(table, offset) == model[offset] ?? 0, "seed \(seed), step \(step)")
        let value = random.chance(25) ? 0 : Self.descriptor(&random, allowsWide: allowsWide && step > 3000)
        arena.store(value, table, offset)
        tables[number].1[offset] = value == 0 ? nil : value
        if random.chance(1), number > 0 {
          arena.free(table)
          tables[number] = (arena.allocate(isLastLevel: true), [:])
        }
        guard step % 500 == 0 else { continue }
        for (table, model) in tables {
          let all = model.sorted { $0.key < $1.key }
          let found = arena.nonzeroDescriptors(table)
          #expect(found.map(\.offset) == all.map(\.key) && found.map(\.value) == all.map(\.value))
          let start = random.below(size)
          let next = all.first { $0.key >= start && $0.key < size - 3 }?.key ?? size - 3
          if start <= size - 3 { #expect(arena.nextNonzero(table, from: start, below: size - 3) == next) }
        }
      }
      #expect(arena.liveTables == 5)
    }
  }

  @Test func childrenAreTables() {
    var arena = TableArena(bitsPerLevel: 9)
    let table = arena.allocateFirst(1)
    let leaf = Stage2Descriptor.leaf(frame: Stage2Descriptor.unknownFrame, attributes: 0, level: 2)
    #expect(arena.child(table, 0) == nil)
    for isWide in [false, true] {
      if isWide { arena.store(0x1234_5678_9abc_def1, table, 511) }
      arena.store(Stage2Descriptor.table(7).rawValue, table, 1)
      arena.store(leaf.rawValue, table, 2)
      arena.store(Stage2Descriptor.locked.rawValue, table, 3)
      #expect((0..<4).map { arena.child(table, $0) } == [nil, 7, nil, nil])
    }
  }

  /// Two levels of tables that are linked, unlinked and freed, with walks to few pages in between, so that most walks
  /// begin at a table that is known.
  @Test(arguments: [false, true])
  func walksEndWhereTheyShould(allowsWide: Bool) {
    for seed in RandomSeed.all {
      var random = SplitMix64(seed: seed)
      var arena = TableArena(bitsPerLevel: 9)
      let root = arena.allocateFirst(1)
      // Two of the tables have one place among those that are known.
      let spans: [UInt64] = [0, 64, 65]
      var children: [UInt32?] = [nil, nil, nil]
      var blocks: [UInt64] = [0, 0, 0]
      var pages: [UInt64: UInt64] = [:]
      for step in 0..<6000 {
        let block = random.below(3)
        let page = spans[block] << 9 | (random.chance(70) ? random.below(8) : random.below(512))
        let offset = Int(spans[block])
        let end = arena.walk(page, from: root, 2)
        let place = "seed \(seed), step \(step)"
        let isAbove = children[block] == nil
        #expect(end.table == children[block] ?? root && end.level == (isAbove ? 2 : 3), "\(place)")
        #expect(end.entry.rawValue == (isAbove ? blocks[block] : pages[page] ?? 0), "\(place)")
        let value = random.chance(30) ? 0 : Self.descriptor(&random, allowsWide: allowsWide)
        guard let child = children[block] else {
          if random.chance(60) {
            let table = arena.allocate(isLastLevel: true)
            arena.store(Stage2Descriptor.table(table).rawValue, root, offset)
            children[block] = table
          } else {
            blocks[block] = value & ~3
            arena.store(blocks[block], root, offset)
          }
          continue
        }
        if random.chance(1) {
          blocks[block] = 0
          arena.store(0, root, offset)
          arena.free(child)
          children[block] = nil
          pages = pages.filter { $0.key >> 9 != page >> 9 }
        } else {
          let other = random.chance(60) ? page : page & ~511 | random.below(512)
          if other == page, end.entry == .zero, value != 0 {
            arena.fill(end, value)
          } else {
            arena.store(value, child, Int(other & 511))
          }
          pages[other] = value
        }
      }
    }
  }

  /// Also of what is beyond the table, and of a table that is gone.
  @Test(arguments: [PageSize.size4K, .size64K])
  func aPrefetchChangesNothing(pageSize: PageSize) throws {
    let geometry = try Stage2Geometry(pageSize: pageSize, ipaBits: 40)
    var stage2 = TraditionalStage2(geometry: geometry)
    let vcpu = VCPUIndex(0)
    for page in [0, 1, 700, 90_000] as [UInt64] {
      let ipa = IPA(page * pageSize.bytes)
      stage2.prefetch(ipa)
      if case .leaf = stage2.walk(ipa) { Issue.record("page \(page) is mapped") }
      stage2.topUpMemcache(vcpu: vcpu, pages: geometry.minPages)
      #expect(stage2.map(ipa, size: pageSize.bytes, pfn: nil, prot: .rw, vcpu: vcpu).isSuccess)
    }
    // Small tables are near as they are.
    var table: UInt64 = 200
    while stage2.modelBytes.tables <= 512 << 10 {
      for page in 0...pageSize.descriptorsPerTable / 8 {
        let ipa = IPA((table * pageSize.descriptorsPerTable + page) * pageSize.bytes)
        stage2.topUpMemcache(vcpu: vcpu, pages: geometry.minPages)
        #expect(stage2.map(ipa, size: pageSize.bytes, pfn: nil, prot: .rw, vcpu: vcpu).isSuccess)
      }
      table += 1
    }
    let before = stage2.counters
    for shift in 12..<64 as Range<UInt64> { stage2.prefetch(IPA(1 << shift)) }
    stage2.prefetch(IPA(.max))
    #expect(stage2.counters == before)
    stage2.destroyRange(IPA(0), size: geometry.ipaLimit)
    stage2.destroyPGD()
    stage2.prefetch(IPA(0))
    #expect(stage2.checkInvariants().isEmpty)
  }

  @Test func whatIsFreeIsNotRead() async {
    await #expect(processExitsWith: .failure) {
      var arena = TableArena(bitsPerLevel: 9)
      let table = arena.allocate(isLastLevel: true)
      arena.free(table)
      _ = arena.load(table, 0)
    }
  }

  /// An operation on a descriptor that may be stored next, though another table is changed in between.
  @Test func whatWasFoundBeforeIsNoMoreThanAGuess() {
    var arena = TableArena(bitsPerLevel: 9)
    let tables = [arena.allocate(isLastLevel: true), arena.allocate(isLastLevel: true)]
    let leaf = Stage2Descriptor.outputMask | 0x403
    for offset in [40, 10, 30, 20] { arena.store(leaf, tables[0], offset) }
    #expect(arena.walk(40, from: tables[0], 3).entry.rawValue == leaf)
    for offset in [5, 50, 45] { arena.store(leaf, tables[1], offset) }
    arena.store(0, tables[0], 10)
    #expect(arena.nonzeroDescriptors(tables[0]).map(\.offset) == [20, 30, 40])
    #expect(arena.nonzeroDescriptors(tables[1]).map(\.offset) == [5, 45, 50])
  }
}
