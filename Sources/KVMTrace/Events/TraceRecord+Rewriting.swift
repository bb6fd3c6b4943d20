package import KVMTypes

// Records that are made up or changed in memory. Their payload lies in no page, so it cannot be printed.

extension TraceRecord {
  /// The record of an event, with the words that `EventSchema` gives its fields.
  package init(_ kind: EventKind, at time: Nanoseconds, cpu: CPUIndex, tid: ThreadID, words: [UInt64] = []) {
    self.init(
      time: time, tid: tid, payloadOffset: 0, payloadLength: 0, cpu: cpu, formatID: 0, kind: kind,
      words: Words())
    precondition(words.count <= Self.wordCount)
    withUnsafeMutableBytes(of: &self.words) { bytes in
      words.withUnsafeBytes { bytes.copyMemory(from: $0) }
    }
  }

  /// The record of `kvm_exit`.
  package init(
    exitAt time: Nanoseconds, cpu: CPUIndex, tid: ThreadID, exceptionClass: UInt8, pc: GuestVA
  ) {
    self.init(.exit, at: time, cpu: cpu, tid: tid, words: [2, UInt64(exceptionClass), pc.rawValue])
  }

  /// The record of `kvm_guest_fault`.
  package init(fault: GuestFault, at time: Nanoseconds, cpu: CPUIndex, tid: ThreadID) {
    self.init(
      .guestFault, at: time, cpu: cpu, tid: tid,
      words: [fault.ipa.rawValue, fault.esr.rawValue, fault.far.rawValue, fault.pc.rawValue])
  }

  /// The record of `kvm_entry`.
  package init(entryAt time: Nanoseconds, cpu: CPUIndex, tid: ThreadID, pc: GuestVA) {
    self.init(.entry, at: time, cpu: cpu, tid: tid, words: [pc.rawValue])
  }

  /// The record of `kvm_guest_fault` with other fields.
  package func with(fault: GuestFault) -> TraceRecord {
    var record = self
    record.words.w0 = fault.ipa.rawValue
    record.words.w1 = fault.esr.rawValue
    record.words.w2 = fault.far.rawValue
    record.words.w3 = fault.pc.rawValue
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
    switch kind {
    case .unmapHVARange, .ageHVA:
      words.w0 &+= hva
      words.w1 &+= hva
    case .testAgeHVA, .setSPTEHVA: words.w0 &+= hva
    case .commitMemoryRegion, .setMemoryRegion:
      words.w0 &+= kernel
      if !(kind == .commitMemoryRegion && memslotCommit.change == .delete) { words.w3 &+= hva }
    case .contentionBegin, .contentionEnd, .initVM, .destroyVM: words.w0 &+= kernel
    case .probeMap, .probeUnmap, .probeWrprotect, .probeTestClearYoung, .probeRelaxPerms, .probeMkyoung,
      .probeAgeGFN, .probeUnmapGFN:
      words.w0 &+= kernel
    default: break
    }
  }
}
