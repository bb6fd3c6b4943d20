import KVMTypes
import Testing
import TraceSynth

@testable import KVMTrace

/// The typed fields of each kind of event, from bytes that the kernel would write.
@Suite("Typed payloads")
struct PayloadTests {
  private typealias Format = TraceSynth.EventFormat
  private typealias Field = EventField

  /// The record of one event.
  private func record(
    _ name: String, system: String = "kvm", packed: Bool = false, _ fields: [(EventField, UInt64)],
    _ flavour: TraceFlavour = TraceFlavour()
  ) throws -> TraceRecord {
    let format = Format(
      system: system, name: name, id: 333, fields: fields.map(\.0), printFormat: "\"\"", isPacked: packed)
    let payload = format.payload(fields.map(\.1), pid: 42, flavour: flavour)
    let page = TraceBuilding.page(flavour, at: 5) { $0.event(payload, delta: 0) }
    let reading = try Reading(try TraceBuilding.file(flavour, formats: [format], pages: [[page]]))
    #expect(reading.damage.isEmpty)
    return try #require(reading.events.first).record
  }

  private func bits(_ value: Int64) -> UInt64 { UInt64(bitPattern: value) }

  @Test("kvm_exit", arguments: [(0, true, false), (2, false, true), (0xbad_ca11, false, false)])
  func exit(reason: Int32, isInterrupt: Bool, isTrap: Bool) throws {
    let exit = try record(
      "kvm_exit",
      [
        (Field(.int, "ret"), UInt64(reason)), (Field(.unsignedInt, "esr_ec"), 0x24),
        (Field(.unsignedLong, "vcpu_pc"), 9),
      ]
    ).vcpuExit
    #expect(exit.reason == reason && exit.exceptionClass == 0x24 && exit.pc == GuestVA(9))
    #expect(exit.isInterrupt == isInterrupt && exit.isTrap == isTrap)
  }

  @Test("kvm_access_fault and kvm_mmio_nisv")
  func faults() throws {
    let access = try record("kvm_access_fault", [(Field(.unsignedLong, "ipa"), 0x4000_1000)])
    #expect(
      access.kind == .accessFault && access.accessFaultIPA == IPA(0x4000_1000) && access.tid == ThreadID(42))
    let nisv = try record(
      "kvm_mmio_nisv",
      [("vcpu_pc", 1), ("esr", 2), ("far", 3), ("ipa", 4)].map { (Field(.unsignedLong, $0.0), $0.1) })
    #expect(nisv.mmioNISV == GuestFault(ipa: IPA(4), esr: ESR(2), far: GuestVA(3), pc: GuestVA(1)))
  }

  @Test("kvm_userspace_exit and kvm_mmio")
  func exits() throws {
    let exit = try record(
      "kvm_userspace_exit", [(Field(.kernelU32, "reason"), 6), (Field(.int, "errno"), bits(-4))]
    )
    .userspaceExit
    #expect(exit.reason == 6 && exit.errno == -4)
    let mmio = try record(
      "kvm_mmio",
      [
        (Field(.u32, "type"), 2), (Field(.u32, "len"), 4), (Field(.u64, "gpa"), 0x900_0000),
        (Field(.u64, "val"), .max),
      ]
    ).mmio
    #expect(mmio.type == 2 && mmio.length == 4 && mmio.address == IPA(0x900_0000) && mmio.value == .max)
  }

  @Test("ranges of host addresses")
  func ranges() throws {
    for name in ["kvm_unmap_hva_range", "kvm_age_hva"] {
      let record = try record(
        name, [(Field(.unsignedLong, "start"), 0x1000), (Field(.unsignedLong, "end"), 0x3000)])
      #expect(record.hvaRange == HVARange(start: HVA(0x1000), end: HVA(0x3000)))
    }
    // These name one address; their handlers ask for the byte there.
    for name in ["kvm_test_age_hva", "kvm_set_spte_hva"] {
      let record = try record(name, [(Field(.unsignedLong, "hva"), 0xffff_8000_1000)])
      #expect(record.hvaRange == HVARange(start: HVA(0xffff_8000_1000), end: HVA(0xffff_8000_1001)))
    }
  }

  @Test("contended locks")
  func contention() throws {
    let begin = try record(
      "contention_begin", system: "lock",
      [(Field(.pointer, "lock_addr"), 0xffff_0000_1234_5678), (Field(.unsignedInt, "flags"), 4)])
    #expect(begin.contendedLock == KernelAddress(0xffff_0000_1234_5678))
    #expect(begin.contentionFlags == .write && begin.contentionFlags != .read)
    let end = try record(
      "contention_end", system: "lock", [(Field(.pointer, "lock_addr"), 1), (Field(.int, "ret"), 0)])
    #expect(end.kind == .contentionEnd && end.contendedLock == KernelAddress(1))
  }

  /// A probe on `kvm_arch_commit_memory_region` with these values.
  private func commit(change: Int64, id: Int64 = 3, flags: UInt64 = 0) throws -> MemslotCommit {
    let values: [UInt64] = [
      0xabc, 0xffff_0000_0000_1000, bits(change), 0x100, 0x200, 0xaaaa_0000, bits(id), flags, 0x10, 0x20,
    ]
    let format = KVMEventFormats.slotCommit
    return try record(
      "commit", system: "slots", packed: true, Array(zip(format.fields, values))
    ).memslotCommit
  }

  @Test("a memslot is created: what was before is no fact")
  func create() throws {
    let commit = try commit(change: 0, flags: 3)
    #expect(commit.change == .create && commit.kvm == KernelAddress(0xffff_0000_0000_1000))
    #expect(commit.base == GFN(0x100) && commit.pages == 0x200 && commit.hva == HVA(0xaaaa_0000))
    #expect(commit.flags == [.logDirtyPages, .readOnly] && commit.id == 3)
    #expect(commit.oldBase == nil && commit.oldPages == nil)
  }

  @Test("a memslot is deleted: only what was before is a fact")
  func delete() throws {
    let commit = try commit(change: 1, id: -1018, flags: 0xffff_ffff)
    #expect(commit.change == .delete && commit.base == GFN(0x10) && commit.pages == 0x20)
    #expect(commit.id == nil && commit.flags == [] && commit.hva == HVA(0))
    #expect(commit.oldBase == GFN(0x10) && commit.oldPages == 0x20)
  }

  @Test("a memslot changes")
  func change() throws {
    let flags = try commit(change: 3, id: -1, flags: 4)
    #expect(
      flags.change == .flagsOnly && flags.id == -1 && flags.flags == .guestMemfd && flags.oldBase == GFN(0x10)
    )
    #expect(try commit(change: 2).change == .move)
    #expect(try commit(change: 77).change == .unknown)
  }

  @Test("what a VMM asks of a memslot")
  func request() throws {
    let request = try record(
      "slot", system: "kprobes", packed: true,
      [
        (Field(.unsignedLong, "__probe_ip"), 1), (Field(.u64, "kvm"), 0xffff_0000_0000_2000),
        (Field(.u32, "slot"), 0x0001_0005), (Field(.u32, "flags"), 1), (Field(.u64, "gpa"), 0x8000_0000),
        (Field(.u64, "size"), 0x20_0000), (Field(.u64, "hva"), 0xffff_9000_0000), (Field(.u32, "gmem"), 0),
      ]
    ).memslotRequest
    #expect(request.kvm == KernelAddress(0xffff_0000_0000_2000) && request.slot == 0x0001_0005)
    #expect(request.flags == .logDirtyPages && request.address == IPA(0x8000_0000))
    #expect(request.bytes == 0x20_0000 && request.hva == HVA(0xffff_9000_0000))
  }

  @Test("operations on a stage-2 table")
  func operations() throws {
    func fields(_ names: [String]) -> [(EventField, UInt64)] {
      [(Field(.unsignedLong, "__probe_ip"), 99)]
        + names.enumerated().map { (Field(.u64, $1), UInt64($0 + 1) << 12) }
    }
    let map = try record(
      "map", system: "truth", packed: true, fields(["pgt", "addr", "size", "phys", "prot", "flags"]))
    let mapped = map.probedOperation
    #expect(
      map.kind == .probeMap && mapped.pageTable == KernelAddress(1 << 12) && mapped.address == IPA(2 << 12))
    #expect(
      mapped.size == 3 << 12 && mapped.physical == 4 << 12 && mapped.prot == Stage2Prot(rawValue: 5 << 12))
    let unmap = try record("kvm_pgtable_stage2_unmap", packed: true, fields(["pgt", "addr", "size"]))
      .probedOperation
    #expect(unmap.size == 3 << 12 && unmap.prot == nil && unmap.physical == 0)
    let relax = try record("relax_perms", packed: true, fields(["pgt", "addr", "prot", "flags"]))
      .probedOperation
    #expect(relax.prot == Stage2Prot(rawValue: 3 << 12) && relax.size == 0)
    let young = try record("mkyoung", packed: true, fields(["pgt", "addr", "flags"])).probedOperation
    #expect(young.address == IPA(2 << 12) && young.size == 0)
    let age = try record("age_gfn", packed: true, fields(["kvm", "start", "end"])).probedRange
    #expect(age.kvm == KernelAddress(1 << 12) && age.start == GFN(2 << 12) && age.end == GFN(3 << 12))
  }

  @Test("test_clear_young is asked to clear by a byte", arguments: [0, 1])
  func testClearYoung(mkold: UInt64) throws {
    let operation = try record(
      "test_clear_young", system: "truth", packed: true,
      [
        (Field(.u64, "pgt"), 1), (Field(.u64, "addr"), 2), (Field(.u64, "size"), 3),
        (Field(.u8, "mkold"), mkold),
      ]
    ).probedOperation
    #expect(operation.markOld == (mkold == 1) && operation.size == 3)
  }

  @Test("returns keep their sign", arguments: [0, 1, -11, -22] as [Int64])
  func returns(value: Int64) throws {
    for name in [
      "map_ret", "unmap_ret", "wrprotect_ret", "test_clear_young_ret", "relax_perms_ret", "abort_ret",
    ] {
      let record = try record(
        name, system: "truth", packed: true,
        [
          (Field(.unsignedLong, "__probe_func"), 1), (Field(.unsignedLong, "__probe_ret_ip"), 2),
          (Field(.s32, "ret"), bits(value)),
        ])
      #expect(record.probedReturn == value && record.kind.isOperationProbe)
    }
  }
}
