import KVMTypes
import Testing

@testable import Stage2Model

/// `kvm_set_memory_region`: what it refuses, in which order, and what a change does to stage 2.
struct SetMemoryRegionTests {
  static let ram: UInt64 = 0x4000_0000

  static func region(
    _ id: UInt32 = 0, gfn: UInt64 = 0x4_0000, pages: UInt64 = 512, hva: UInt64 = 0x7f00_0000_0000,
    _ flags: Memslot.Flags = []
  ) -> Memslot {
    Memslot(id: id, baseGFN: GFN(gfn), pages: pages, hva: HVA(hva), flags: flags)
  }

  @Test func whatIsInvalidByItself() throws {
    var vm = try KVM.traditional(profile(.traditional))
    let bad: [Memslot] = [
      Self.region(Memslot.Flags(rawValue: 8)), Self.region([.guestMemfd, .readonly]),
      Self.region([.guestMemfd, .logDirtyPages]), Self.region(hva: 0x7f00_0000_0800), Self.region(32767),
      Self.region(1 << 16), Self.region(pages: 1 << 31), Self.region(gfn: 1 << 52),
      Self.region(gfn: 1 << 52 - 1, pages: 2), Self.region(pages: 0),
    ]
    for region in bad { check(vm.kvmSetMemoryRegion(region), .invalid, "\(region)") }
    check(vm.kvmSetMemoryRegion(Self.region(32766)), .success)
  }

  @Test func whatIsInvalidBesideOthers() throws {
    var vm = try KVM.traditional(profile(.traditional))
    check(vm.kvmSetMemoryRegion(Self.region()), .success)
    check(vm.kvmSetMemoryRegion(Self.region(1, gfn: 0x4_01ff, pages: 1)), .exists)
    check(vm.kvmSetMemoryRegion(Self.region(1, gfn: 0x4_0200)), .success)
    // Nothing to do.
    check(vm.kvmSetMemoryRegion(Self.region()), .success)
    check(vm.kvmSetMemoryRegion(Self.region(hva: 0x7f00_0000_1000)), .invalid)
    check(vm.kvmSetMemoryRegion(Self.region(pages: 511)), .invalid)
    check(vm.kvmSetMemoryRegion(Self.region(.readonly)), .invalid)
    check(vm.kvmSetMemoryRegion(Self.region(gfn: 0x4_0100)), .exists)
    check(vm.kvmSetMemoryRegion(Self.region(2, gfn: 0, .guestMemfd)), .success)
    check(vm.kvmSetMemoryRegion(Self.region(2, gfn: 0, .guestMemfd)), .invalid)
    check(vm.enableDirtyLog(slot: 2), .invalid)
    check(vm.enableDirtyLog(slot: 7), .invalid)
    check(vm.deleteMemslot(2), .success)
    check(vm.lockTotals(.flushShadowMemslot).acquisitions, 1)
  }

  /// The old place is unmapped before the new one is looked at.
  @Test func aRefusedMoveUnmaps() throws {
    var vm = try KVM.traditional(profile(.traditional))
    check(vm.kvmSetMemoryRegion(Self.region()), .success)
    vm.fault(Self.ram)
    check(vm.moveMemslot(0, to: GFN(1 << 28)), .badAddress)
    check(vm.slots.slot(id: 0), Self.region())
    check(vm.stage2.table.leaves().count, 0)
    // A frame of another slot is noticed before.
    check(vm.kvmSetMemoryRegion(Self.region(1, gfn: 0)), .success)
    vm.fault(Self.ram)
    check(vm.moveMemslot(0, to: GFN(100)), .exists)
    check(vm.stage2.table.leaves().count, 1)
    check(vm.lockTotals(.flushShadowMemslot).acquisitions, 1)
  }

  @Test func aProtectedGuestThatRan() throws {
    var vm = try KVM.pkvm(profile(.pkvm) { $0.isProtected = true })
    check(vm.kvmSetMemoryRegion(Self.region(.logDirtyPages)), .notPermitted)
    check(vm.kvmSetMemoryRegion(Self.region()), .success)
    check(vm.moveMemslot(0, to: GFN(0)), .success)
    vm.hasRun = true
    check(vm.deleteMemslot(0), .notPermitted)
    check(vm.slots.slot(id: 0) != nil, true)
    // The lock was taken all the same.
    check(vm.lockTotals(.flushShadowMemslot).acquisitions, 2)
    check(vm.enableDirtyLog(slot: 0), .notPermitted)
  }

  /// A slot that logs from its creation, or moves while it logs, is write-protected like one that begins to log.
  @Test func loggingSlotsAreProtectedWheneverTheyChange() throws {
    var vm = try KVM.traditional(profile(.traditional))
    check(vm.kvmSetMemoryRegion(Self.region(.logDirtyPages)), .success)
    check(vm.lockTotals(.wpMemoryRegion).acquisitions, 1)
    check(vm.lockTotals(.splitHugePages).acquisitions, 1)
    check(vm.stage2.counters.tlbiVMID, 1)
    check(vm.moveMemslot(0, to: GFN(0)), .success)
    check(vm.lockTotals(.wpMemoryRegion).acquisitions, 2)
    // Twice is once, and the end protects nothing.
    check(vm.enableDirtyLog(slot: 0), .success)
    check(vm.disableDirtyLog(slot: 0), .success)
    check(vm.disableDirtyLog(slot: 0), .success)
    check(vm.lockTotals(.wpMemoryRegion).acquisitions, 2)
    check(vm.kvmSetMemoryRegion(Self.region(gfn: 0, .logDirtyPages), initiallySet: true), .success)
    check(vm.lockTotals(.wpMemoryRegion).acquisitions, 2)
  }

  /// The split cache goes with any change of a slot that does not log, be it another slot.
  @Test func theSplitCacheGoesWithAnyOtherSlot() throws {
    func filled() throws -> KVM<TraditionalStage2> {
      var vm = try KVM.traditional(profile(.traditional) { $0.splitChunkBytes = pmd })
      check(vm.kvmSetMemoryRegion(Self.region()), .success)
      check(vm.kvmSetMemoryRegion(Self.region(1, gfn: 0)), .success)
      vm.fault(Self.ram, host: .transparentHuge(.size4K))
      check(vm.enableDirtyLog(slot: 0), .success)
      check(vm.stage2.memory.pages(.splitCache).live > 0, true)
      return vm
    }
    var created = try filled()
    check(created.kvmSetMemoryRegion(Self.region(2, gfn: 0x2000)), .success)
    check(created.stage2.memory.pages(.splitCache).live, 0)
    var moved = try filled()
    check(moved.moveMemslot(1, to: GFN(0x2000)), .success)
    check(moved.stage2.memory.pages(.splitCache).live, 0)
    var deleted = try filled()
    check(deleted.deleteMemslot(0), .success)
    check(deleted.stage2.memory.pages(.splitCache).live, 0)
    var refused = try filled()
    check(refused.moveMemslot(1, to: GFN(1 << 28)), .badAddress)
    check(refused.stage2.memory.pages(.splitCache).live > 0, true)
  }

  /// Notifiers meet slots in the order of host addresses, not of guest frames.
  @Test func slotsInTheOrderOfHostAddresses() {
    var slots = Memslots()
    slots.set(Self.region(0, gfn: 0, hva: 0x3000_0000))
    slots.set(Self.region(1, gfn: 0x1000, hva: 0x1000_0000))
    slots.set(Self.region(2, gfn: 0x2000, hva: 0x2000_0000))
    slots.set(Self.region(3, gfn: 0x3000, hva: 0x1000_0000))
    #expect(slots.slots.map(\.id) == [0, 1, 2, 3])
    #expect(slots.inHVAOrder.map(\.id) == [1, 3, 2, 0])
    // A changed slot is inserted anew.
    slots.set(Self.region(1, gfn: 0x1000, hva: 0x1000_0000, .logDirtyPages))
    #expect(slots.inHVAOrder.map(\.id) == [3, 1, 2, 0])
    slots.remove(id: 3)
    #expect(slots.inHVAOrder.map(\.id) == [1, 2, 0])
  }

  /// `kvm_for_each_memslot` goes bucket by bucket of `id_hash`: 0, 48, 97 and 18 are those of 0, 1, 2 and 3, and 144 has that
  /// of 0.
  @Test func slotsInTheOrderOfTheirNumbersBuckets() {
    var slots = Memslots()
    let regions = ([0, 1, 2, 3, 144] as [UInt32]).enumerated().map { place, id in
      Self.region(id, gfn: UInt64(place) * 0x1000, hva: 0x1000_0000 + UInt64(place) << 28)
    }
    for region in regions { slots.set(region) }
    #expect(slots.inIDOrder.map(\.id) == [144, 0, 3, 1, 2])
    #expect(Memslots(changed: regions) == slots)
    // A changed slot is inserted anew, at the head of its bucket.
    slots.set(Self.region(0, gfn: 0, hva: 0x1000_0000, .logDirtyPages))
    slots.remove(id: 3)
    #expect(slots.inIDOrder.map(\.id) == [0, 144, 1, 2])
  }

  @Test func notifiersGoByHostAddress() throws {
    var vm = try KVM.pkvm(profile(.pkvm))
    // Two slots, the host addresses the other way round; EL2 refuses the page of the one that lies higher.
    check(vm.kvmSetMemoryRegion(Self.region(0, gfn: 0x4_0000, hva: 0x7f00_0020_0000)), .success)
    check(vm.kvmSetMemoryRegion(Self.region(1, gfn: 0x8_0000, hva: 0x7f00_0000_0000)), .success)
    vm.fault(Self.ram, host: .page(.size4K, pfn: PFN(7)))
    vm.fault(0x8000_0000, host: .page(.size4K, pfn: PFN(7)))
    // One share is counted for two leaves: the second to be unshared is refused.
    vm.stage2.hyp.vmemmap.override(PFN(7), state: .sharedOwned, shareCount: 1)
    vm.mmuNotifierInvalidateRangeStart(HVA(0x7f00_0000_0000), HVA(0x7f00_0040_0000))
    check(vm.stage2.walk(IPA(0x8000_0000)), .invalid(level: .l1))
    check(vm.stage2.walk(IPA(Self.ram)), .leaf(level: .l3, prot: .rw, young: true))
    check(vm.warnings.count(of: .unmapFailed), 1)
  }
}

extension SetMemoryRegionTests {
  fileprivate static func region(_ flags: Memslot.Flags) -> Memslot {
    Memslot(id: 0, baseGFN: GFN(0x4_0000), pages: 512, hva: HVA(0x7f00_0000_0000), flags: flags)
  }
}
