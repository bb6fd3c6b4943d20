package import KVMTypes

// Records that are made up or changed in memory. Their payload lies in no page, so it cannot be printed.

extension TraceRecord {
  /// The record of `kvm_exit`, for a trap.
  package init(
    exitAt time: Nanoseconds, cpu: CPUIndex, tid: ThreadID, exceptionClass: UInt8, pc: GuestVA
  ) {
    typealias Field = RecordLayout.Exit
    self.init(.exit, at: time, cpu: cpu, tid: tid)
    self[Field.reason] = 2
    self[Field.exceptionClass] = UInt64(exceptionClass)
    self[Field.pc] = pc.rawValue
  }

  /// The record of `kvm_guest_fault`.
  package init(fault: GuestFault, at time: Nanoseconds, cpu: CPUIndex, tid: ThreadID) {
    self.init(.guestFault, at: time, cpu: cpu, tid: tid)
    self = with(fault: fault)
  }

  /// The record of `kvm_entry`.
  package init(entryAt time: Nanoseconds, cpu: CPUIndex, tid: ThreadID, pc: GuestVA) {
    self.init(.entry, at: time, cpu: cpu, tid: tid)
    self[RecordLayout.Entry.pc] = pc.rawValue
  }

  /// The record of `kvm_guest_fault` with other fields.
  package func with(fault: GuestFault) -> TraceRecord {
    typealias Field = RecordLayout.GuestFault
    var record = self
    record[Field.ipa] = fault.ipa.rawValue
    record[Field.esr] = fault.esr.rawValue
    record[Field.far] = fault.far.rawValue
    record[Field.pc] = fault.pc.rawValue
    return record
  }

  /// This event at the time and place of another one.
  package func moved(to other: TraceRecord) -> TraceRecord {
    var record = self
    (record.time, record.cpu, record.tid) = (other.time, other.cpu, other.tid)
    return record
  }

  /// Whether two records tell the same event, wherever in the trace.
  package func tellsSame(as other: TraceRecord) -> Bool {
    kind == other.kind && words.w0 == other.words.w0 && words.w1 == other.words.w1
      && words.w2 == other.words.w2 && words.w3 == other.words.w3 && words.w4 == other.words.w4
      && words.w5 == other.words.w5 && words.w6 == other.words.w6
  }

  /// Moves what the event says of the host's memory: addresses of the VMM, and those of kernel objects.
  package mutating func relocate(hva: UInt64, kernel: UInt64) {
    typealias Layout = RecordLayout
    switch kind {
    case .unmapHVARange, .ageHVA:
      self[Layout.HVARange.start] &+= hva
      self[Layout.HVARange.end] &+= hva
    case .testAgeHVA, .setSPTEHVA: self[Layout.HVA.hva] &+= hva
    case .commitMemoryRegion:
      self[Layout.CommitMemoryRegion.kvm] &+= kernel
      if memslotCommit.change != .delete { self[Layout.CommitMemoryRegion.hva] &+= hva }
    case .setMemoryRegion:
      self[Layout.SetMemoryRegion.kvm] &+= kernel
      self[Layout.SetMemoryRegion.hva] &+= hva
    case .contentionBegin: self[Layout.ContentionBegin.lock] &+= kernel
    case .contentionEnd: self[Layout.ContentionEnd.lock] &+= kernel
    case .initVM: self[Layout.InitVM.kvm] &+= kernel
    case .destroyVM: self[Layout.DestroyVM.kvm] &+= kernel
    case .probeMap, .probeUnmap, .probeWrprotect, .probeTestClearYoung, .probeRelaxPerms, .probeMkyoung:
      self[Layout.Stage2Call.pageTable] &+= kernel
    case .probeAgeGFN, .probeUnmapGFN: self[Layout.GFNRange.kvm] &+= kernel
    default: break
    }
  }
}
