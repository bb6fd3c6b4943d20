import KVMTypes
import Testing

@testable import Stage2Model

/// `kvm_handle_guest_abort` and `io_mem_abort`: the path of every kind of abort, and what KVM_RUN returns.
struct GuestAbortTests {
  static let ram: UInt64 = 0x4000_0000
  static let data: UInt64 = 0x24 << 26
  static let fetch: UInt64 = 0x20 << 26
  static let syndrome: UInt64 = 1 << 24
  static let maintenance: UInt64 = 1 << 8
  static let stage1Walk: UInt64 = 1 << 7
  static let write: UInt64 = 1 << 6

  /// Memory at 1 GiB, read-only memory at 2 GiB, a guest_memfd at 3 GiB; 40 bits on a host of 48.
  static func slots() -> Memslots {
    var slots = Memslots()
    slots.set(Memslot(id: 0, baseGFN: GFN(ram >> 12), pages: 512, hva: HVA(0)))
    slots.set(Memslot(id: 1, baseGFN: GFN(2 * ram >> 12), pages: 512, hva: HVA(0), flags: .readonly))
    slots.set(Memslot(id: 2, baseGFN: GFN(3 * ram >> 12), pages: 512, hva: HVA(0), flags: .guestMemfd))
    return slots
  }

  static func path(
    _ esr: UInt64, _ ipa: UInt64?, far: UInt64 = 0xffff_0000_0000_0abc, era: PKVMEra = .v7_3,
    protected: Bool = false
  ) -> GuestAbortPath {
    let profile = profile(protected ? .pkvm : .traditional, era) {
      $0.isProtected = protected
      $0.ipaBits = 40
    }
    return GuestAbortRules(profile, hostIPABits: 48)
      .path(ESR(esr), ipa: ipa.map { IPA($0) }, far: far, slots: slots())
  }

  @Test func statusCodes() {
    let memory = GuestAbortPath.userMemAbort(Self.slots().slot(id: 0)!)
    // External aborts, with and without a table walk, and ECC errors: also without an address.
    for code in [0x10, 0x13, 0x17, 0x18, 0x1b, 0x1f] as [UInt64] {
      #expect(Self.path(Self.data | code, nil) == .externalAbort, "\(code)")
    }
    #expect(Self.path(Self.data | 7, nil) == .unknownAddress)
    for code in [0x04, 0x07, 0x2b, 0x0c, 0x0f, 0x35] as [UInt64] {
      #expect(Self.path(Self.data | code, Self.ram) == memory, "\(code)")
    }
    for code in [0x08, 0x0b] as [UInt64] {
      #expect(Self.path(Self.data | code, Self.ram) == .accessFault, "\(code)")
    }
    // Address size, alignment, TLB conflict, and what no CPU reports.
    for code in [0x00, 0x03, 0x29, 0x21, 0x30, 0x3f] as [UInt64] {
      #expect(Self.path(Self.data | code, Self.ram) == .unsupported, "\(code)")
    }
    #expect(Self.path(Self.data | 0x35, Self.ram, era: .v6_19) == .unsupported)
  }

  @Test func addressesBeyond() {
    #expect(Self.path(Self.data | 4, 1 << 48) == .injectSizeFault)
    #expect(Self.path(Self.data | 4, 1 << 40) == .injectExternalAbort)
    #expect(Self.path(Self.data | 4, 1 << 40 - 4096) == .mmio(IPA(1 << 40 - 4096 + 0xabc)))
    // Only a translation fault is looked at.
    #expect(Self.path(Self.data | 0x0c, 1 << 48) == .mmio(IPA(1 << 48 + 0xabc)))
    let pkvm = GuestAbortRules(profile(.pkvm))
    #expect(pkvm.path(ESR(Self.data | 4), ipa: IPA(1 << 44), far: 0, slots: Memslots()) == .injectSizeFault)
  }

  @Test func whereNoMemoryIs() {
    #expect(Self.path(Self.data | 7, 0x900_0000) == .mmio(IPA(0x900_0abc)))
    #expect(Self.path(Self.fetch | 7, 0x900_0000) == .injectInstructionAbort)
    // A walk of stage 1, for data and for a fetch.
    #expect(Self.path(Self.data | Self.stage1Walk | 7, 0x900_0000) == .injectDataAbort)
    #expect(Self.path(Self.fetch | Self.stage1Walk | 7, 0x900_0000) == .injectInstructionAbort)
    #expect(Self.path(Self.data | Self.maintenance | Self.write | 7, 0x900_0000) == .skipCacheMaintenance)
    // An access fault without a slot is an access to a device too.
    #expect(Self.path(Self.data | 0x0b, 0x900_0000) == .mmio(IPA(0x900_0abc)))
    // On a host with larger pages the address is complemented by 12 bits alone.
    let big = GuestAbortRules(profile(.traditional) { $0.pageSize = .size64K })
    #expect(
      big.path(ESR(Self.data | 7), ipa: IPA(0x900_3000), far: 0xfabc, slots: Memslots())
        == .mmio(IPA(0x900_3abc)))
  }

  @Test func readOnlyMemory() {
    let slot = Self.slots().slot(id: 1)!
    let ipa = 2 * Self.ram
    #expect(Self.path(Self.data | 7, ipa) == .userMemAbort(slot))
    #expect(Self.path(Self.data | Self.write | 7, ipa) == .mmio(IPA(ipa + 0xabc)))
    #expect(Self.path(Self.fetch | 7, ipa) == .userMemAbort(slot))
    // A guest's table in read-only memory may be read, but the CPU must not set flags in it.
    #expect(Self.path(Self.data | Self.stage1Walk | Self.write | 7, ipa) == .userMemAbort(slot))
    #expect(Self.path(Self.data | Self.stage1Walk | 0x0f, ipa) == .injectDataAbort)
    // Maintenance is skipped only outside of all slots.
    #expect(Self.path(Self.data | Self.maintenance | Self.write | 0x0f, ipa) == .mmio(IPA(ipa + 0xabc)))
  }

  @Test func handlers() {
    #expect(Self.path(Self.data | 7, 3 * Self.ram) == .gmemAbort(Self.slots().slot(id: 2)!))
    #expect(Self.path(Self.data | 7, Self.ram, protected: true) == .pkvmMemAbort(Self.slots().slot(id: 0)!))
    #expect(Self.path(Self.data | 0x0b, Self.ram, protected: true) == .accessFault)
  }

  @Test func results() {
    let slot = Self.slots().slot(id: 0)!
    let rows: [(GuestAbortPath, KernelResult?, Bool)] = [
      (.externalAbort, nil, false), (.unknownAddress, .badAddress, false),
      (.injectSizeFault, .runGuest, false),
      (.injectExternalAbort, .runGuest, false), (.unsupported, .badAddress, true),
      (.injectInstructionAbort, .runGuest, true), (.injectDataAbort, .runGuest, true),
      (.skipCacheMaintenance, .runGuest, true), (.mmio(IPA(0)), nil, true), (.accessFault, .runGuest, true),
      (.pkvmMemAbort(slot), nil, true), (.gmemAbort(slot), nil, true), (.userMemAbort(slot), nil, true),
    ]
    for (path, result, isTraced) in rows {
      #expect(path.result == result, "\(path)")
      #expect(path.isTraced == isTraced, "\(path)")
    }
  }

  @Test func devices() {
    let traditional = profile(.traditional)
    let protected = profile(.pkvm) { $0.isProtected = true }
    let word = Self.data | Self.syndrome | 2 << 22
    #expect(MMIOPath(ESR(word | Self.write | 7), traditional) == .access(isWrite: true, bytes: 4))
    #expect(MMIOPath(ESR(word | 7), traditional) == .access(isWrite: false, bytes: 4))
    #expect(MMIOPath(ESR(Self.data | 7), traditional) == .noSyndrome)
    #expect(MMIOPath(ESR(Self.data | 7), traditional, exitsWithoutSyndrome: true) == .exitWithoutSyndrome)
    #expect(MMIOPath(ESR(Self.data | 7), protected, exitsWithoutSyndrome: true) == .injectDataAbort)
    // The kind of load or store, where the status code gives those bits a meaning.
    #expect(MMIOPath(ESR(word | 1 << 11 | 7), traditional) == .exitLDST64B)
    #expect(MMIOPath(ESR(word | 2 << 11 | 0x2b), traditional) == .exitLDST64B)
    #expect(MMIOPath(ESR(word | 1 << 11 | 0x35), traditional) == .access(isWrite: false, bytes: 4))
    #expect(
      MMIOPath(ESR(word | 1 << 11 | 7), profile(.traditional, .v6_19)) == .access(isWrite: false, bytes: 4))
    #expect(MMIOPath.noSyndrome.result == .noSystemCall)
    #expect(MMIOPath.exitLDST64B.result == .success)
    #expect(MMIOPath.injectDataAbort.result == .runGuest)
    #expect(MMIOPath.access(isWrite: true, bytes: 1).result == nil)
  }

  /// From the syndrome to the table.
  @Test func handling() throws {
    var vm = try KVM.traditional(profile(.traditional))
    vm.addSlot()
    let rules = GuestAbortRules(vm.profile)
    func abort(_ esr: UInt64, _ ipa: UInt64, _ faultIn: FaultIn = .page(.page(.size4K))) -> GuestAbortOutcome
    {
      vm.kvmHandleGuestAbort(
        ESR(esr), ipa: IPA(ipa), far: 0, vcpu: VCPUIndex(0), faultIn: faultIn, seq: vm.invalidateSeq,
        rules: rules)
    }
    let mapped = abort(Self.data | 7, Self.ram)
    check(mapped.fault?.operation, .map(IPA(Self.ram), size: page, prot: .rw))
    check(mapped.result, .runGuest)
    // The same again is -EAGAIN, which nobody sees.
    check(abort(Self.data | 7, Self.ram).result, .runGuest)
    check(abort(Self.data | 7, Self.ram + page, .failed).result, .badAddress)
    check(abort(Self.data | 7, Self.ram + page, .hwPoison).result, .runGuest)
    // A fetch from device memory ends in an abort for the guest.
    let device = HostPage(vmaShift: 12, userMappingBytes: page, memory: .device)
    let fetched = abort(Self.fetch | 7, Self.ram + page, .page(device))
    check(fetched.fault?.result, .noExec)
    check(fetched.result, .runGuest)
    check(abort(Self.data | 0x0b, Self.ram).fault?.operation, .mkyoung(IPA(Self.ram)))
    let exclusive = abort(Self.data | 0x35, Self.ram)
    check(exclusive.fault?.result, .runGuest)
    check(exclusive.result, .runGuest)
    check(abort(Self.data | 7, 0x900_0000).result, nil)
    check(abort(Self.data, Self.ram).result, .badAddress)
    check(vm.stage2.table.leaves().count, 1)
  }
}
