import KVMTypes
import TraceSynth

/// The events of a story.
extension Scenario {
  // MARK: A vCPU's thread

  /// kvm_entry: the guest goes on with the instruction at `pc`.
  func enter(_ thread: Thread, pc: UInt64 = 0x1000) { emit(KVMEventFormats.entry, thread, [pc]) }

  /// kvm_guest_fault of the instruction at `pc`, whose virtual address equals its physical one, with the kvm_exit before it. The window stays open until the thread enters again.
  func fault(
    _ thread: Thread, _ ipa: UInt64, _ kind: FaultKind = .translation, level: Int = 3,
    _ access: Access = .read, pc: UInt64 = 0x1000
  ) {
    exit(thread, exceptionClass: access == .exec ? 0x20 : 0x24, pc: pc)
    let base: UInt64 =
      switch kind {
      case .translation: 0x04
      case .accessFlag: 0x08
      case .permission: 0x0c
      default: 0x35
      }
    var esr = level < 0 ? 0x2b : kind == .exclusiveOrAtomic ? base : base + UInt64(level)
    // IL is set where the syndrome of the instruction is not valid.
    esr |= (access == .exec ? 0x20 : 0x24) << 26 | 1 << 25
    if access == .write { esr |= 1 << 6 }
    if access == .stage1Walk { esr |= 1 << 7 }
    emit(KVMEventFormats.guestFault, thread, [pc, esr, ipa, ipa & ~0xfff])
  }

  /// kvm_exit by a trap of an exception class.
  func exit(_ thread: Thread, exceptionClass: UInt64 = 0x24, pc: UInt64 = 0x1000) {
    emit(KVMEventFormats.exit, thread, [2, exceptionClass, pc])
  }

  /// kvm_guest_fault by itself, with any syndrome.
  func guestFault(_ thread: Thread, _ ipa: UInt64, esr: UInt64) {
    emit(KVMEventFormats.guestFault, thread, [0x1000, esr, ipa, ipa])
  }

  /// kvm_guest_fault that EL2 makes up for a page that a protected guest shares and does not have, with its kvm_exit.
  ///
  /// - Parameter lacksIL: whether the kernel is older than 7.2.
  func memShare(_ thread: Thread, _ ipa: UInt64, lacksIL: Bool = false) {
    exit(thread)
    emit(KVMEventFormats.guestFault, thread, [0x1000, lacksIL ? 0x9000_0047 : 0x9200_0047, 0, ipa])
  }

  /// kvm_access_fault by itself.
  func accessFault(_ thread: Thread, _ ipa: UInt64) { emit(KVMEventFormats.accessFault, thread, [ipa]) }

  /// A fault and the next entry.
  func handle(
    _ thread: Thread, _ ipa: UInt64, _ kind: FaultKind = .translation, level: Int = 3,
    _ access: Access = .read, pc: UInt64 = 0x1000
  ) {
    fault(thread, ipa, kind, level: level, access, pc: pc)
    enter(thread, pc: pc)
  }

  /// An access flag fault, with the event by which KVM says so, and the next entry.
  func handleAccessFault(_ thread: Thread, _ ipa: UInt64, level: Int = 3) {
    fault(thread, ipa, .accessFlag, level: level)
    accessFault(thread, ipa)
    enter(thread)
  }

  /// kvm_mmio: a write for the VMM.
  func mmio(_ thread: Thread, _ ipa: UInt64) { emit(KVMEventFormats.mmio, thread, [2, 4, ipa, 0]) }

  /// kvm_userspace_exit: KVM_RUN returns.
  func exitToVMM(_ thread: Thread, reason: UInt64 = 6, errno: Int32 = 0) {
    emit(KVMEventFormats.userspaceExit, thread, [reason, UInt64(bitPattern: Int64(errno))])
  }

  /// A vCPU leaves the guest for something else than a fault, and KVM_RUN returns.
  func stop(_ thread: Thread, pc: UInt64 = 0x1000) {
    exit(thread, exceptionClass: 0x01, pc: pc)
    exitToVMM(thread, reason: 10, errno: -4)
  }

  /// contention_begin: the thread waits for a lock; 2 is to read, 4 to write.
  func contend(_ thread: Thread, lock: UInt64, flags: UInt64) {
    emit(KVMEventFormats.contentionBegin, thread, [lock, flags])
  }

  /// contention_end: it has the lock.
  func acquire(_ thread: Thread, lock: UInt64) { emit(KVMEventFormats.contentionEnd, thread, [lock, 0]) }

  // MARK: MMU notifiers

  /// kvm_unmap_hva_range.
  func unmap(_ thread: Thread, _ hva: UInt64, bytes: UInt64? = nil) {
    emit(KVMEventFormats.unmapHVARange, thread, [hva, hva &+ (bytes ?? page)])
  }

  /// kvm_age_hva.
  func age(_ thread: Thread, _ hva: UInt64, bytes: UInt64? = nil) {
    emit(KVMEventFormats.ageHVA, thread, [hva, hva &+ (bytes ?? page)])
  }

  /// kvm_test_age_hva.
  func testAge(_ thread: Thread, _ hva: UInt64) { emit(KVMEventFormats.testAgeHVA, thread, [hva]) }

  /// A thread runs, as an event of it tells that concerns no VM: what it does next comes later.
  func run(_ thread: Thread) { age(thread, 0xaaaa_0000_0000) }

  // MARK: Memslots

  /// A slot of 1024 pages unless told otherwise, at addresses that rule out blocks unless told otherwise.
  func createSlot(
    _ thread: Thread = .vmm, kvm: UInt64 = 0xffff_0000, id: UInt64 = 0, ipa: UInt64? = nil,
    pages: UInt64 = 1024, hva: UInt64? = nil, flags: UInt64 = 0
  ) {
    commit(thread, kvm, change: 0, (ipa ?? memory, pages, hva ?? crookedHVA), id: id, flags: flags, old: nil)
  }

  func deleteSlot(
    _ thread: Thread = .vmm, kvm: UInt64 = 0xffff_0000, ipa: UInt64? = nil, pages: UInt64 = 1024
  ) {
    commit(thread, kvm, change: 1, (0, 0, 0), id: 0, flags: 0, old: (ipa ?? memory, pages))
  }

  func moveSlot(
    _ thread: Thread = .vmm, kvm: UInt64 = 0xffff_0000, id: UInt64 = 0, from: UInt64? = nil, to: UInt64,
    pages: UInt64 = 1024, hva: UInt64? = nil, flags: UInt64 = 0
  ) {
    commit(
      thread, kvm, change: 2, (to, pages, hva ?? crookedHVA), id: id, flags: flags,
      old: (from ?? memory, pages))
  }

  /// A change of flags: 1 logs dirty pages, 2 is read-only.
  func setFlags(
    _ flags: UInt64, _ thread: Thread = .vmm, kvm: UInt64 = 0xffff_0000, id: UInt64 = 0, ipa: UInt64? = nil,
    pages: UInt64 = 1024, hva: UInt64? = nil
  ) {
    let ipa = ipa ?? memory
    commit(
      thread, kvm, change: 3, (ipa, pages, hva ?? crookedHVA), id: id, flags: flags, old: (ipa, pages))
  }

  private func commit(
    _ thread: Thread, _ kvm: UInt64, change: UInt64, _ new: (ipa: UInt64, pages: UInt64, hva: UInt64),
    id: UInt64, flags: UInt64, old: (ipa: UInt64, pages: UInt64)?
  ) {
    let shift = pageSize.shift
    emit(
      KVMEventFormats.slotCommit, thread,
      [
        0, kvm, change, new.ipa >> shift, new.pages, new.hva, id, flags, (old?.ipa ?? 0) >> shift,
        old?.pages ?? 0,
      ])
  }

  // MARK: Probes on the kernel's operations

  /// `*_pgtable_stage2_map` and its return.
  func recordMap(_ thread: Thread, _ ipa: UInt64, bytes: UInt64? = nil, prot: UInt64 = 0xc, result: Int64 = 0)
  {
    emit(StageTwoProbeFormats.map, thread, [0, 0x77, ipa, bytes ?? page, 0, prot, 0, 0])
    emit(StageTwoProbeFormats.mapReturn, thread, [0, 0, UInt64(bitPattern: result)])
  }

  /// `*_pgtable_stage2_map` without its return, and when that was.
  func beginMap(_ thread: Thread, _ ipa: UInt64) -> UInt64 {
    emit(StageTwoProbeFormats.map, thread, [0, 0x77, ipa, page, 0, 0xc, 0, 0])
    return now
  }

  /// The return of `*_pgtable_stage2_map`.
  func endMap(_ thread: Thread) { emit(StageTwoProbeFormats.mapReturn, thread, [0, 0, 0]) }

  /// `*_pgtable_stage2_unmap` and its return.
  func recordUnmap(_ thread: Thread, _ ipa: UInt64, bytes: UInt64? = nil, result: Int64 = 0) {
    emit(StageTwoProbeFormats.unmap, thread, [0, 0x77, ipa, bytes ?? page])
    emit(StageTwoProbeFormats.unmapReturn, thread, [0, 0, UInt64(bitPattern: result)])
  }

  /// `*_pgtable_stage2_test_clear_young` and its return.
  func recordTestClearYoung(_ thread: Thread, _ ipa: UInt64, bytes: UInt64? = nil, answer: Int64) {
    emit(StageTwoProbeFormats.testClearYoung, thread, [0, 0x77, ipa, bytes ?? page, 1])
    emit(StageTwoProbeFormats.testClearYoungReturn, thread, [0, 0, UInt64(bitPattern: answer)])
  }
}
