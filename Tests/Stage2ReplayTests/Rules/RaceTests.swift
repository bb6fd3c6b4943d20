import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// The order of operations where windows overlap: who waited for a lock, who faulted again, who made progress.
@Suite("Faults and unmaps that race for the lock")
struct RaceTests {
  static let kvm: UInt64 = 0xffff_0000
  /// LCB_F_SPIN with LCB_F_READ, and with LCB_F_WRITE.
  static let read: UInt64 = 3
  static let write: UInt64 = 5

  /// A VM with two vCPUs that run; faults take the lock as on that path.
  private static func twoVCPUs(_ path: Profile.Path) -> Scenario {
    let story = Scenario()
    story.profile.faultLock = path == .pkvm ? .write : .read
    story.profile.path = path
    story.createSlot()
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    return story
  }

  /// Two vCPUs fault on the same page; the first one's window ends last.
  static func race(_ path: Profile.Path, _ inside: (Scenario) -> Void) throws -> [Int32: Int32] {
    let story = twoVCPUs(path)
    story.fault(.vcpu0, story.memory)
    story.fault(.vcpu1, story.memory)
    inside(story)
    story.enter(.vcpu1)
    story.wait(microseconds: 1000)
    story.enter(.vcpu0)
    let maps = try story.replay().all.filter { $0.kind == .map }
    #expect(maps.map(\.time) == maps.map(\.time).sorted())
    #expect(maps.allSatisfy { $0.basis == .assumed })
    return Dictionary(uniqueKeysWithValues: maps.map { ($0.tid.rawValue, $0.result ?? 0) })
  }

  @Test("Where nothing tells, the window that ends first is taken to have had the lock first")
  func noWait() throws {
    #expect(try Self.race(.pkvm) { _ in } == [1002: 0, 1001: -11])
  }

  @Test("A vCPU's operations keep their order, whichever of them raced with a long window")
  func ownOrder() throws {
    let story = Scenario()
    story.profile.path = .traditional
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    let pages = (0..<4).map { story.memory + $0 * story.page }
    story.fault(.vcpu1, pages[0])
    // It finds the page gone while vCPU 1 replaces an entry, twice.
    story.handle(.vcpu0, pages[0])
    story.handle(.vcpu0, pages[0])
    story.handle(.vcpu0, pages[1])
    story.fault(.vcpu0, pages[2])
    story.enter(.vcpu1)
    story.handle(.vcpu1, pages[0])
    story.enter(.vcpu0)
    let own = try story.replay().all.filter { $0.tid.rawValue == 1001 }
    #expect(own.map(\.address.rawValue) == [pages[0], pages[0], pages[1], pages[2]])
  }

  @Test("Who waited for mmu_lock had it after who did not")
  func waited() throws {
    let results = try Self.race(.pkvm) { story in
      story.contend(.vcpu1, lock: Self.kvm, flags: Self.write)
      story.acquire(.vcpu1, lock: Self.kvm)
    }
    #expect(results == [1001: 0, 1002: -11])
  }

  @Test("Who waited for a lock that is not the VM's says nothing about mmu_lock")
  func waitedElsewhere() throws {
    let results = try Self.race(.pkvm) { story in
      story.contend(.vcpu1, lock: 0xffff_1000, flags: Self.write)
      story.acquire(.vcpu1, lock: 0xffff_1000)
    }
    #expect(results == [1002: 0, 1001: -11])
  }

  @Test("Who waited for mmu_lock and found the page unmapped once more had waited for somebody else")
  func waitedForNotifier() throws {
    let results = try Self.race(.pkvm) { story in
      story.unmap(.kswapd, story.crookedHVA + story.page)
      story.contend(.vcpu1, lock: Self.kvm, flags: Self.write)
      story.acquire(.vcpu1, lock: Self.kvm)
      story.enter(.vcpu1)
      story.fault(.vcpu1, story.memory)
    }
    #expect(results == [1002: 0, 1001: -11])
  }

  @Test("Of two that waited for mmu_lock, the first to get it was first", arguments: [true, false])
  func bothWaited(firstIsFirst: Bool) throws {
    let results = try Self.race(.pkvm) { story in
      let order: [Scenario.Thread] = firstIsFirst ? [.vcpu0, .vcpu1] : [.vcpu1, .vcpu0]
      for thread in order { story.contend(thread, lock: Self.kvm, flags: Self.write) }
      for thread in order { story.acquire(thread, lock: Self.kvm) }
    }
    #expect(results == (firstIsFirst ? [1001: 0, 1002: -11] : [1002: 0, 1001: -11]))
  }

  @Test("Of two that waited for the same lock of the host, the first to get it was first")
  func bothWaitedElsewhere() throws {
    let results = try Self.race(.traditional) { story in
      for thread in [Scenario.Thread.vcpu0, .vcpu1] {
        story.contend(thread, lock: 0xffff_1000, flags: 1)
        story.acquire(thread, lock: 0xffff_1000)
      }
    }
    #expect(results == [1001: 0, 1002: -11])
  }

  @Test("Under the read lock, who faults again in the other's window had -EAGAIN from its break-before-make")
  func refaulted() throws {
    let story = Self.twoVCPUs(.traditional)
    story.fault(.vcpu0, story.memory)
    story.handle(.vcpu1, story.memory)
    story.fault(.vcpu1, story.memory)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    let maps = try story.replay().all.filter { $0.kind == .map }
    #expect(maps.map { [$0.tid.rawValue, $0.result ?? 0] } == [[1001, 0], [1002, -11], [1002, -11]])
  }

  @Test("Who lacks a right met the leaf that another vCPU has mapped by then, though that one's window lasts")
  func metLeaf() throws {
    let story = Self.twoVCPUs(.traditional)
    story.fault(.vcpu0, story.memory)
    story.handle(.vcpu1, story.memory, .permission, .exec)
    story.enter(.vcpu0)
    #expect(
      try story.replay().operations
        == ["map 40000000+1000 = 0, assumed", "relax_perms 40000000 = 0, assumed"])
    // On another page the leaf is another one.
    let other = Self.twoVCPUs(.traditional)
    other.fault(.vcpu0, other.memory + other.page)
    other.handle(.vcpu1, other.memory, .permission, .exec)
    other.enter(.vcpu0)
    #expect(try other.replay().operations.last?.hasPrefix("map 40001000") == true)
  }

  @Test("Of a block it may be any page")
  func metBlock() throws {
    let story = Scenario()
    story.profile.path = .traditional
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.fault(.vcpu0, story.memory, level: 2)
    story.handle(.vcpu1, story.memory + 3 * story.page, .permission, level: 2, .exec)
    story.enter(.vcpu0)
    #expect(
      try story.replay().operations
        == ["map 40000000+200000 = 0, assumed", "relax_perms 40003000 = 0, assumed"])
  }

  @Test("Who comes back because it copied the page itself shows nothing of another one's map")
  func copied() throws {
    let story = Self.twoVCPUs(.traditional)
    story.handle(.vcpu1, story.memory)
    story.fault(.vcpu1, story.memory, .permission, .write)
    story.unmap(.vcpu1, story.crookedHVA)
    story.fault(.vcpu0, story.memory)
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory, .translation, .write)
    story.enter(.vcpu0)
    let maps = try story.replay().all.filter { $0.kind == .map && $0.tid.rawValue == 1002 }
    #expect(maps.map(\.result) == [0, 0])
  }

  @Test("Who entered in the other's window had walked the table before, though it faults after it")
  func refaultedLater() throws {
    let story = Self.twoVCPUs(.traditional)
    story.fault(.vcpu0, story.memory)
    story.handle(.vcpu1, story.memory)
    story.enter(.vcpu0)
    story.handle(.vcpu1, story.memory)
    let replayed = try story.replay()
    let maps = replayed.all.filter { $0.kind == .map }
    #expect(maps.map { [$0.tid.rawValue, $0.result ?? 0] } == [[1001, 0], [1002, -11], [1002, -11]])
    #expect(replayed.divergences == ["D1 explained E2 x2"])
  }

  @Test("Who faults again because an unmap made it retry did not lose to a fault on another page of a block")
  func retriedBeside() throws {
    for unmaps in [true, false] {
      let story = Scenario()
      story.profile.path = .traditional
      story.profile.faultLock = .read
      story.createSlot(hva: story.congruentHVA)
      story.enter(.vcpu0)
      story.enter(.vcpu1)
      story.fault(.vcpu1, story.memory + story.page, level: 2, .write)
      if unmaps {
        story.unmap(.kswapd, story.congruentHVA + story.block)
        story.run(.kswapd)
      }
      story.fault(.vcpu0, story.memory + 5 * story.page, level: 2, .write)
      story.enter(.vcpu1)
      story.handle(.vcpu1, story.memory + story.page, level: 2, .write)
      story.enter(.vcpu0)
      story.handle(.vcpu1, story.memory + 7 * story.page, .permission, level: 2, .exec)
      let maps = try story.replay().all.filter { $0.kind == .map }.map { [$0.tid.rawValue, $0.result ?? 0] }
      #expect(maps == (unmaps ? [[1002, 0], [1001, -11]] : [[1001, 0], [1002, -11], [1002, -11]]))
    }
  }

  /// Two vCPUs fault on two pages that need the same table of level 3. The second one's window ends last.
  private static func tableRace(_ path: Profile.Path, _ after: (Scenario) -> Void) throws -> Replayed {
    let story = twoVCPUs(path)
    story.fault(.vcpu0, story.memory, level: 2)
    story.fault(.vcpu1, story.memory + story.page, level: 2)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    after(story)
    return try story.replay()
  }

  @Test(
    "Under the read lock, who faults again below the table that another vCPU's fault needed, too, lost it")
  func lostTable() throws {
    let replayed = try Self.tableRace(.traditional) { story in
      story.handle(.vcpu1, story.memory + story.page, level: 3)
    }
    #expect(
      replayed.operations == [
        "map 40000000+1000 = 0, assumed", "map 40001000+1000 = -11, assumed",
        "map 40001000+1000 = 0, derived",
      ])
    // Each stopped above the table before the other made it.
    #expect(replayed.divergences == ["D1 explained E2"])
  }

  @Test("Who got on did not lose the table, and who did nothing more may have")
  func keptTable() throws {
    let replayed = try Self.tableRace(.traditional) { story in
      story.handle(.vcpu1, story.memory + 2 * story.page, level: 3)
    }
    #expect(
      replayed.operations == [
        "map 40000000+1000 = 0, assumed", "map 40001000+1000 = 0, derived", "map 40002000+1000 = 0, derived",
      ])
  }

  @Test("Under the write lock nobody loses a table: a fault that comes again contradicts the model")
  func lostTableUnderWriteLock() throws {
    let replayed = try Self.tableRace(.pkvm) { story in
      story.handle(.vcpu1, story.memory + story.page, level: 3)
    }
    #expect(replayed.operations(.map).first == "map 40000000+1000 = 0, derived")
    #expect(replayed.divergences.contains("D1 unexplained"))
  }

  @Test("Faults that need tables of their own do not race for one", arguments: [false, true])
  func otherTable(isFar: Bool) throws {
    let story = Self.twoVCPUs(.traditional)
    story.fault(.vcpu0, story.memory, level: 2)
    // Either in another region, or where there is a table already.
    story.fault(.vcpu1, story.memory + (isFar ? story.block : story.page), level: isFar ? 2 : 3)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    #expect(try story.replay().all.allSatisfy { $0.basis == .derived })
  }

  @Test(
    "Under the read lock, who lacks the same right again at once lost the leaf to another vCPU's relaxation")
  func lostLeaf() throws {
    let story = Self.twoVCPUs(.traditional)
    story.handle(.vcpu0, story.memory, .translation)
    story.fault(.vcpu0, story.memory, .permission, .write)
    story.fault(.vcpu1, story.memory, .permission, .exec)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.handle(.vcpu1, story.memory, .permission, .exec)
    let replayed = try story.replay()
    #expect(
      replayed.operations(.relaxPerms) == [
        "relax_perms 40000000 = 0, assumed", "relax_perms 40000000 = -11, assumed",
        "relax_perms 40000000 = 0, derived",
      ])
    #expect(replayed.divergences == [])
  }

  @Test("Who fails behind a long window raced with it, whatever it did before in the region")
  func longWindow() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    story.fault(.vcpu0, story.memory)
    story.handle(.vcpu1, story.memory + story.page)
    story.fault(.vcpu1, story.memory)
    story.enter(.vcpu1)
    story.enter(.vcpu0)
    #expect(
      try story.replay().operations(.map) == [
        "map 40001000+1000 = 0, derived", "map 40000000+1000 = 0, assumed",
        "map 40000000+1000 = -11, assumed",
      ])
  }

  @Test("A fault is not ahead of what its own thread did before")
  func ownThread() throws {
    let story = Scenario()
    story.profile.faultLock = .read
    story.profile.path = .traditional
    story.createSlot(hva: story.congruentHVA)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    // vCPU 1 waits while vCPU 0 copies a page of the region, and maps it, and another one.
    story.fault(.vcpu0, story.memory, .translation, .write)
    story.unmap(.vcpu0, story.congruentHVA)
    story.fault(.vcpu1, story.memory + 8 * story.page)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, .translation, .write)
    story.handle(.vcpu0, story.memory + story.page)
    story.fault(.vcpu0, story.memory + 2 * story.page)
    story.enter(.vcpu1)
    story.fault(.vcpu1, story.memory + 8 * story.page)
    story.enter(.vcpu0)
    story.enter(.vcpu1)
    let own = try story.replay().all.filter {
      $0.tid.rawValue == Scenario.Thread.vcpu0.tid && $0.kind == .map
    }
    #expect(own.map { $0.address.rawValue & 0xffff } == [0, 0x1000, 0x2000])
  }

  @Test("The same instruction on another address shows that it got through the first one")
  func progressed() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    story.handle(.vcpu0, story.memory)
    story.unmap(.kswapd, story.crookedHVA)
    story.handle(.vcpu0, story.memory + story.page)
    story.handle(.vcpu0, story.memory)
    let replayed = try story.replay()
    #expect(replayed.operations(.map).count == 3)
    #expect(replayed.nothing == [:])
  }

  @Test("Another instruction on another address shows nothing")
  func otherInstruction() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.unmap(.kswapd, story.crookedHVA + 9 * story.page)
    story.handle(.vcpu0, story.memory)
    story.handle(.vcpu0, story.memory + story.page, pc: 0x2000)
    story.handle(.vcpu0, story.memory)
    #expect(try story.replay().nothing == [.faultedAgain: 1])
  }

  @Test("An unmap that waits for mmu_lock comes when it has it")
  func unmapWaits() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.unmap(.kswapd, story.crookedHVA)
    story.contend(.kswapd, lock: Self.kvm, flags: Self.write)
    story.enter(.vcpu0)
    story.acquire(.kswapd, lock: Self.kvm)
    story.handle(.vcpu0, story.memory + story.page)
    let replayed = try story.replay()
    #expect(
      replayed.all.prefix(2).map(\.kind) == [.map, .unmap], "\(replayed.operations)")
    #expect(replayed.all.map(\.time) == replayed.all.map(\.time).sorted())
    #expect(replayed.result.vms[0].memory.mappings.live == 1)
  }

  @Test("Who got a page mapped had the lock that its unmap waited for, though its window ends later")
  func unmapWaitsForFault() throws {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.fault(.vcpu0, story.memory)
    story.unmap(.kswapd, story.crookedHVA)
    story.contend(.kswapd, lock: Self.kvm, flags: Self.write)
    story.acquire(.kswapd, lock: Self.kvm)
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory + story.page)
    let replayed = try story.replay()
    #expect(replayed.all.prefix(2).map(\.kind) == [.map, .unmap], "\(replayed.operations)")
    #expect(replayed.all.map(\.time) == replayed.all.map(\.time).sorted())
    #expect(replayed.result.vms[0].memory.mappings.live == 1)
  }
}
